"""Compiling pipelines with mmdata's own codecs."""

from __future__ import annotations

from collections.abc import Collection

from mmdata.codec.decoders import DECODERS
from mmdata.codec.encode import encodes, encoding_fault, is_lossy
from mmdata.core.pipeline import Codecs, Compiled, Pipeline, compile_pipeline

CODECS = Codecs(DECODERS, encoding_fault, encodes, is_lossy)


def check(pipeline: Pipeline, *, where: str = "pipeline") -> Compiled:
    """Compile a pipeline without looking at its source. Raises ConfigError with every fault."""
    declared = getattr(pipeline.source, "parts", None)  # sources that are told their parts say so before any scan
    return compile_pipeline(pipeline, CODECS, parts=list(declared) if declared else None, where=where)


def compile_for(pipeline: Pipeline, parts: Collection[str], *, where: str = "pipeline") -> Compiled:
    """Compile a pipeline for the parts that a source gives. Raises ConfigError with every fault."""
    return compile_pipeline(pipeline, CODECS, parts=parts or None, where=where)

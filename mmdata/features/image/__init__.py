"""Numbers about pictures, without a model."""

from mmdata.features.image.colors import Colorfulness, ColorHistogram, Thumbnail, TinyImage
from mmdata.features.image.hashes import AverageHash, DifferenceHash, PerceptualHash, TinyGrey, WaveletHash
from mmdata.features.image.quality import Exposure, ImageSize, Plainness, Sharpness
from mmdata.features.image.shapes import Corners, EdgeShare, HuMoments, OrbKeypoints, OrientedGradients
from mmdata.features.image.texture import CoOccurrence, LocalBinaryPatterns

__all__ = [
    "AverageHash",
    "CoOccurrence",
    "ColorHistogram",
    "Colorfulness",
    "Corners",
    "DifferenceHash",
    "EdgeShare",
    "Exposure",
    "HuMoments",
    "ImageSize",
    "LocalBinaryPatterns",
    "OrbKeypoints",
    "OrientedGradients",
    "PerceptualHash",
    "Plainness",
    "Sharpness",
    "Thumbnail",
    "TinyGrey",
    "TinyImage",
    "WaveletHash",
]

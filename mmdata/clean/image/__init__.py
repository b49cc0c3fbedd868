"""Mend or drop pictures: their place and size, their pixels, and which are worth keeping."""

from mmdata.clean.image.faces import BlurFaces
from mmdata.clean.image.filters import (
    DropBlurred,
    DropPlain,
    KeepAspect,
    KeepContrast,
    KeepEntropy,
    KeepExposure,
    KeepImageSize,
)
from mmdata.clean.image.framing import CropImage, CutBorders, FixOrientation, LetterboxImage, ResizeImage
from mmdata.clean.image.pixels import ConvertToGrey, DeblurImage, DenoiseImage, EqualizeImage, SharpenImage
from mmdata.clean.image.regions import MoveRegions
from mmdata.clean.image.scores import KeepByScore

__all__ = [
    "BlurFaces",
    "ConvertToGrey",
    "CropImage",
    "CutBorders",
    "DeblurImage",
    "DenoiseImage",
    "DropBlurred",
    "DropPlain",
    "EqualizeImage",
    "FixOrientation",
    "KeepAspect",
    "KeepByScore",
    "KeepContrast",
    "KeepEntropy",
    "KeepExposure",
    "KeepImageSize",
    "LetterboxImage",
    "MoveRegions",
    "ResizeImage",
    "SharpenImage",
]

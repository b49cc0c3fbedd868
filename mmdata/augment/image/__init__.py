"""Change pictures at random: where they lie, their colours, and the damage that real ones have.

What moves pixels says so in the picture's space map, by which `clean.image.MoveRegions` moves boxes, points and masks.
"""

from mmdata.augment.image.colors import DropColors, JitterColors
from mmdata.augment.image.damage import AddNoise, BlurImage, CompressImage, EraseRectangle
from mmdata.augment.image.geometry import CropAtRandom, FlipImage, RotateImage, ScaleImage, TiltImage

__all__ = [
    "AddNoise",
    "BlurImage",
    "CompressImage",
    "CropAtRandom",
    "DropColors",
    "EraseRectangle",
    "FlipImage",
    "JitterColors",
    "RotateImage",
    "ScaleImage",
    "TiltImage",
]

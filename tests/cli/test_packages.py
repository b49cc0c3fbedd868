"""Commands where a package is not installed: one line that says which extra brings it, and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmdata.errors import MissingExtra

Mmdata = Callable[..., Any]


def said(package: str, extra: str) -> str:
    return f"  - needs {package}; install it with: pip install 'mmdata[{extra}]'\n"


def test_a_condition_needs_duckdb(mmdata: Mmdata, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    ended = mmdata("ls", made.store, "--where", "key > 'a'")
    assert (ended.code, ended.err) == (2, f"mmdata: 1 fault\n{said('duckdb', 'select')}")


def test_a_condition_of_a_selection_needs_duckdb_and_nothing_is_read(
    mmdata: Mmdata, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.pipeline.write_text(own.pipeline.read_text().replace("{name: v1,", "{name: v1, where: 'width > 1',"))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    ended = mmdata("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline")
    told = f"{own.pipeline}: 1 fault\n{said('duckdb', 'select').replace('needs', 'select.where: needs')}"
    assert (ended.code, ended.err) == (2, told)
    assert not own.store.exists()


def test_a_sound_of_flac_is_traced_with_the_extra_audio(
    mmdata: Mmdata, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = mmdata("ls", made.store, "--json").json["samples"][0]["key"]
    assert mmdata("trace", made.store, key).code == 0
    monkeypatch.setitem(sys.modules, "soundfile", None)
    ended = mmdata("trace", made.store, key)
    assert ended.code == 2
    assert said("soundfile", "audio") in ended.err


def test_a_dataset_of_the_hub_needs_the_extra_huggingface(
    mmdata: Mmdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    ended = mmdata("ingest", "hf://datasets/nobody/nothing", tmp_path / "store")
    assert ended.code == 2
    assert said("huggingface_hub", "huggingface") in ended.err
    assert not (tmp_path / "store").exists()


def test_a_sample_that_needs_another_extra_is_rejected_as_such(
    mmdata: Mmdata, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmdata.codec.audio import DecodeAudio

    def refuse(*_: object) -> None:
        raise MissingExtra("codec", ["FFmpeg is needed to read this: pip install 'mmdata[video]'"])

    monkeypatch.setattr(DecodeAudio, "_by_libsndfile", refuse)
    run = ("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline")
    ended = mmdata(*run, "--max-rejects", 1, "--json")
    assert ended.json["rejected"]["missing_extra"] > 0
    assert "bug" not in ended.json["rejected"]
    assert "missing_extra" in mmdata("rejects", own.store).out


def test_a_module_of_a_users_own_keeps_its_message(
    mmdata: Mmdata, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'theirs'", name="theirs")

    monkeypatch.setattr("mmdata.api.check", fail)
    with pytest.raises(ModuleNotFoundError, match="theirs"):
        mmdata("check", own.pipeline)


def test_a_trial_asks_for_packages_first(mmdata: Mmdata, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own.pipeline.write_text("source: {use: source.files.Files}\ningest: [clean.audio.MixDown]\n")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    ended = mmdata("try", own.pipeline, next(own.source.rglob("*.ogg")))
    assert (ended.code, ended.out) == (2, "")
    assert "needs soundfile; install it with: pip install 'mmdata[audio]'" in ended.err

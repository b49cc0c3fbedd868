"""What a machine and a place are told to be able to do, where they are and where they are not."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from mmdata.doctor import FAULT, GOOD, NOTE, Finding, examine
from mmdata.doctor.places import place
from mmdata.engine import devices


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {one.what: one for one in found}


def test_a_machine_on_which_all_works_has_no_faults() -> None:
    topics = dict(examine())
    assert list(topics) == ["machine", "packages", "formats"]
    assert [one for found in topics.values() for one in found if one.state == FAULT] == []
    formats = by_name(topics["formats"])
    assert {one.state for one in formats.values()} == {GOOD}
    assert "JPEG" in formats["pictures"].found
    assert "Opus" in formats["sound"].found
    assert "H.264" in formats["films"].found


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    topics = dict(examine())
    video = by_name(topics["packages"])["video"]
    assert (video.state, video.found, video.mend) == (NOTE, "without av", "pip install 'mmdata[video]'")
    films = by_name(topics["formats"])["films"]
    assert (films.state, films.mend) == (NOTE, "pip install 'mmdata[video]'")


def test_a_gpu_that_torch_cannot_use_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    if devices.gpus():
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    gpus = by_name(dict(examine())["machine"])["GPUs"]
    assert gpus.state == FAULT
    assert "pytorch.org" in gpus.mend


def test_nothing_is_left_of_the_trials(tmp_path: Path) -> None:
    store = tmp_path / "new" / "deeper" / "store"
    assert {one.state for one in place(str(store))} == {GOOD}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").write_bytes(b"mine")
    assert {one.state for one in place(str(tmp_path))} == {GOOD}
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_file_where_the_folder_should_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"a file")
    [found] = place(str(tmp_path / "store"))
    assert (found.what, found.state) == ("writing", FAULT)


def test_a_disk_without_hard_links_can_hold_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # what Linux says on FAT and exFAT

    monkeypatch.setattr(os, "link", refuse)
    found = by_name(list(place(str(tmp_path))))["commits, by hard links"]
    assert (found.state, found.found) == (FAULT, "PermissionError: Operation not permitted")
    assert "ext4" in found.mend
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_a_fault() -> None:
    [found] = place("nosuch://bucket/store")
    assert found.state == FAULT


@pytest.mark.s3
@pytest.mark.slow
def test_a_bucket_is_tried_and_left_empty(bucket: str) -> None:
    from mmdata.store.files import Files

    found = by_name(list(place(f"{bucket}/store")))
    assert {one.state for one in found.values()} == {GOOD}
    assert "commits, by conditional puts" in found
    assert list(Files.at(f"{bucket}/store").listing("")) == []

from __future__ import annotations

import gzip
import multiprocessing
import shutil
from pathlib import Path

import pytest

from mmdata.errors import CorpusUnavailable, MMDataError
from mmdata.testing import corpora
from mmdata.testing.corpora import Corpus, default_cache, fetch, main, media

NAME = "little-sounds"
LITTLE = Corpus(
    media="usr/share/little",
    about="three sounds",
    licence="CC0",
    least_files=3,
    least_bytes=45,
    deb_bytes=100,
    unpacked_bytes=100,
)

# A stand-in for apt-get that knows one package. MODE says how it fails; each call leaves a line in CALLS.
APT = """#!/bin/bash
echo "$*" >> "$CALLS"
case "$MODE:$*" in
  offline:*update) echo "W: Failed to fetch http://deb.debian.org" >&2; exit 0;;
  offline:*) echo "E: Unable to locate package" >&2; exit 100;;
  stale:*Dir::State::lists*download*) ;;
  stale:*download*) echo "E: 404 Not Found" >&2; exit 100;;
  silent:*) exit 0;;
  hanging:*) exec sleep 60;;
esac
[[ "$*" == *update ]] || echo archive > little-sounds_1.0_all.deb
"""
DPKG = """#!/bin/bash
[ "$MODE" != damaged ] || { echo "unexpected end of file in archive" >&2; exit 2; }
mkdir -p "$3/usr/share/little"
for n in 1 2 $([ "$MODE" = short ] || echo 3); do echo "sound number $n" > "$3/usr/share/little/$n.wav"; done
[ "$MODE" != hollow ] || : > "$3/usr/share/little/1.wav"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one corpus, and the file in which its apt-get writes what it was asked."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setattr(corpora, "CORPORA", {NAME: LITTLE})
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("MODE", "sound")
    return tmp_path / "calls"


def inside(cache: Path) -> list[str]:
    """What a cache holds but locks."""
    return sorted(path.name for path in (cache / "corpora").glob("*") if path.suffix != ".lock")


@pytest.mark.usefixtures("calls")
def test_a_fetched_corpus_lies_below_the_cache_with_nothing_beside_it(tmp_path: Path) -> None:
    folder = fetch(NAME, cache=tmp_path)
    assert folder == tmp_path / "corpora" / NAME
    assert media(NAME, cache=tmp_path) == folder / "usr/share/little"
    assert [path.read_text() for path in sorted(media(NAME, cache=tmp_path).iterdir())] == [
        f"sound number {n}\n" for n in (1, 2, 3)
    ]
    assert inside(tmp_path) == [NAME]


def test_a_second_fetch_asks_nobody(calls: Path, tmp_path: Path) -> None:
    fetch(NAME, cache=tmp_path)
    asked = calls.read_text()
    assert fetch(NAME, cache=tmp_path) == fetch(NAME, cache=tmp_path)
    assert calls.read_text() == asked


@pytest.mark.usefixtures("calls")
def test_a_corpus_that_is_there_is_read_without_writing(tmp_path: Path) -> None:
    fetch(NAME, cache=tmp_path)
    (tmp_path / "corpora" / f".{NAME}.lock").unlink()
    fetch(NAME, cache=tmp_path)
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == [NAME]


def test_lists_of_our_own_are_made_where_the_system_has_none(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODE", "stale")
    fetch(NAME, cache=tmp_path)
    first, update, second = calls.read_text().splitlines()
    assert "Dir::State::lists" not in first
    assert update.endswith("update")
    assert str(tmp_path) in update.partition("Dir::State::lists=")[2]
    assert second.endswith(f"download {NAME}")
    assert inside(tmp_path) == [NAME]


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("offline", "Unable to locate package"),
        ("offline", "Failed to fetch http://deb.debian.org"),
        ("silent", "left no little-sounds_"),
        ("damaged", "unexpected end of file"),
        ("hollow", "holds 3 files of 30 bytes, expected were at least 3 of 45"),
        ("short", "holds 2 files of 30 bytes, expected were at least 3 of 45"),
    ],
)
def test_a_failure_says_why_and_leaves_nothing(
    mode: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODE", mode)
    with pytest.raises(CorpusUnavailable, match=says):
        fetch(NAME, cache=tmp_path)
    assert inside(tmp_path) == []
    monkeypatch.setenv("MODE", "sound")
    assert fetch(NAME, cache=tmp_path).is_dir()


@pytest.mark.usefixtures("calls")
def test_a_mirror_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "hanging")
    monkeypatch.setattr(corpora, "TIMEOUT_S", 0.2)
    with pytest.raises(CorpusUnavailable, match="timed out"):
        fetch(NAME, cache=tmp_path)
    assert inside(tmp_path) == []


@pytest.mark.usefixtures("calls")
def test_without_apt_the_error_says_what_is_missing_and_where_to_put_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(CorpusUnavailable, match="apt-get and dpkg-deb can't be found") as caught:
        fetch(NAME, cache=tmp_path)
    assert str(tmp_path / "corpora" / NAME) in str(caught.value)


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(("free", "fits"), [(199, False), (200, True)])
def test_a_full_disk_is_seen_before_the_download(
    free: int, fits: bool, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    if fits:
        assert fetch(NAME, cache=tmp_path).is_dir()
    else:
        with pytest.raises(CorpusUnavailable, match="XDG_CACHE_HOME names another place"):
            fetch(NAME, cache=tmp_path)
        assert not calls.exists()


@pytest.mark.usefixtures("calls")
def test_a_cache_that_can_not_be_written_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusUnavailable, match="can't be fetched"):
        fetch(NAME, cache=tmp_path / "file")


@pytest.mark.usefixtures("calls")
def test_what_a_killed_fetch_left_is_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / "corpora" / f".{NAME}.part-killed" / "tree"
    leftover.mkdir(parents=True)
    fetch(NAME, cache=tmp_path)
    assert inside(tmp_path) == [NAME]


def test_processes_at_once_download_once(calls: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")  # the doubles above must reach the children
    children = [fork.Process(target=fetch, args=(NAME,), kwargs={"cache": tmp_path}) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert len(calls.read_text().splitlines()) == 1


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "mmdata"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_cache() == Path("/home/ada/.cache/mmdata")


def test_the_error_is_one_of_ours() -> None:
    assert issubclass(CorpusUnavailable, MMDataError)


@pytest.mark.usefixtures("calls")
def test_the_command_prints_folders_alone_to_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main([]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/mmdata/corpora/{NAME}/usr/share/little\n"
    assert main(["no-such"]) == 2
    assert "there are little-sounds" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "mmdata")
    monkeypatch.setenv("MODE", "offline")
    assert main([NAME]) == 1
    assert "apt-get says" in capsys.readouterr().err


@pytest.mark.corpus
def test_stamps_are_pictures_with_captions_and_speech(stamps: Path) -> None:
    pictures = [path for path in stamps.rglob("*") if path.suffix in {".png", ".svg"}]
    captioned = [path for path in pictures if path.with_suffix(".txt").exists()]
    spoken = [path for path in captioned if path.with_name(f"{path.stem}_desc_fr.ogg").exists()]
    assert len(captioned) > 900
    assert len(spoken) > 800
    assert len({path.relative_to(stamps).parts[0] for path in captioned}) == 16


@pytest.mark.corpus
def test_prompts_are_spoken_and_written(prompts: Path, prompt_texts: Path) -> None:
    spoken = {path.stem for path in prompts.rglob("*.wav")}
    lines = gzip.decompress((prompt_texts / "core-sounds-en.txt.gz").read_bytes()).decode().splitlines()
    written = {line.partition(": ")[0].rpartition("/")[2] for line in lines if ": " in line}
    assert len(spoken) > 500
    assert len(written & spoken) > 450

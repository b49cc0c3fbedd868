"""Local folders: links, oddities, and files that change while they are looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmdata.errors import Unreadable
from mmdata.source.listing import Listing
from mmdata.source.local import LocalPlace


def walk(root: Path, **settings: bool) -> Listing:
    return LocalPlace(str(root), **settings).walk("name")


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files if not file.problem]


def problems(listing: Listing) -> dict[str, str]:
    """By path, the kind of what is wrong: of files and of folders."""
    of_files = {file.path: file.problem[0] for file in listing.files if file.problem}
    return of_files | {fault.key.removeprefix("name/"): fault.kind for fault in listing.faults}


def test_every_file_below_is_found_in_order(tmp_path: Path) -> None:
    for path in ("b", "a/z", "a/b/c"):
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_bytes(b"12")
    found = walk(tmp_path)
    assert paths(found) == ["a/b/c", "a/z", "b"]
    assert found.files[0].size == 2
    assert found.files[0].signature == f"mtime:{os.stat(tmp_path / 'a/b/c').st_mtime_ns}"


@pytest.mark.parametrize(
    "name", [".git", ".hidden", "a~", "#a#", "a.tmp", "A.PART", "Thumbs.db", "__MACOSX", "._a.png"]
)
def test_droppings_are_ignored(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert (paths(walk(tmp_path)), walk(tmp_path).ignored) == ([], [name])


@pytest.mark.parametrize("name", ["a.tmp.png", "#a", "a#", "template", "x.lock.txt"])
def test_what_only_looks_like_one_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert paths(walk(tmp_path)) == [name]


def test_links_that_stay_inside_are_followed(tmp_path: Path) -> None:
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store/1").write_bytes(b"1")
    (tmp_path / "a").symlink_to(".store/1")
    (tmp_path / "folder").symlink_to(".store")
    assert paths(walk(tmp_path)) == ["a", "folder/1"]


def test_a_folder_is_listed_once_wherever_links_lead(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/1").write_bytes(b"1")
    (tmp_path / "another").symlink_to("real")
    found = walk(tmp_path)
    assert (paths(found), found.ignored) == (["real/1"], ["another/"])


def test_loops_are_told_and_end(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/up").symlink_to("../..")
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "a/1").write_bytes(b"1")
    found = walk(tmp_path)
    assert paths(found) == ["a/1"]
    assert problems(found) == {"a/b/up/": "link_loop", "a/self/": "link_loop", "ring": "link_loop"}
    assert "leads back to itself" in str(found.files)


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for name, other in (("x", "y"), ("y", "x")):
        (outside / name).mkdir(parents=True)
        (outside / name / "file").write_bytes(b"1")
        (outside / name / "to").symlink_to(f"../{other}")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/x").symlink_to(outside / "x")
    assert paths(walk(tmp_path / "root", follow_links=True)) == ["x/file", "x/to/file"]


def test_links_that_lead_out_are_faults_unless_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/1").write_bytes(b"1")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to("../outside/1")
    (root / "folder").symlink_to("../outside")
    assert problems(walk(root)) == {"file": "link_outside", "folder/": "link_outside"}
    assert "follow_links: true" in walk(root).faults[0].error
    assert paths(walk(root, follow_links=True)) == ["file", "folder/1"]


def test_a_root_whose_name_begins_like_another_is_not_inside_it(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "rooted").mkdir()
    (tmp_path / "rooted/1").write_bytes(b"1")
    (tmp_path / "root/1").symlink_to("../rooted/1")
    assert problems(walk(tmp_path / "root")) == {"1": "link_outside"}


def test_broken_links_and_pipes_are_told(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert problems(walk(tmp_path)) == {"broken": "broken_link", "pipe": "not_a_file"}


def test_a_folder_that_can_not_be_read_is_a_fault_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "open").write_bytes(b"1")
    scandir = os.scandir

    def forbidding(path: str) -> object:
        if "shut" in path:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)  # root may read every folder, so chmod would not do
    found = walk(tmp_path)
    assert (paths(found), problems(found)) == (["open"], {"shut/": "unreadable"})
    assert found.faults[0].error == "shut/: permission denied"


def test_any_name_that_a_disk_allows_is_found(tmp_path: Path) -> None:
    names = [b"new\nline", b'"quotes"', b"sp ace", b"\xff\xfe", "é".encode(), b"a#bytes=0-1", b"100%41"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as opened:
            opened.write(name)
    place = LocalPlace(str(tmp_path))
    for file in place.walk("name").files:
        data = place.load(file.path, offset=0, size=file.size, whole=True, signature=file.signature)
        assert data == os.fsencode(file.path)
    assert len(paths(walk(tmp_path))) == len(names)


def load(root: Path, path: str, size: int, *, signature: str = "", whole: bool = True, offset: int = 0) -> bytes:
    return LocalPlace(str(root)).load(path, offset=offset, size=size, whole=whole, signature=signature)


def test_ranges_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert load(tmp_path, "a", 3, offset=4, whole=False) == b"456"
    assert load(tmp_path, "a", 0, offset=4, whole=False) == b""


def test_what_changed_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with pytest.raises(Unreadable, match=r"^a: changed since it was listed \(10 bytes, not 9\); run again"):
        load(tmp_path, "a", 9)
    with pytest.raises(Unreadable, match=r"9 bytes are left of 10"):
        load(tmp_path, "a", 10, offset=1, whole=False)
    with pytest.raises(Unreadable, match=r"it was written to"):
        load(tmp_path, "a", 10, signature="mtime:1")
    with pytest.raises(Unreadable, match=r"^b: no such file or directory"):
        load(tmp_path, "b", 10)


def test_what_is_no_file_any_more_is_unreadable_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(Unreadable, match="it is no file any more"):
            load(tmp_path, name, 10)


def test_a_link_put_in_a_files_place_is_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to("../secret")
    (root / "folder").symlink_to("..")
    for path in ("a", "folder/secret"):
        with pytest.raises(Unreadable, match="a link leads out of the source's folder"):
            load(root, path, 2)
    assert LocalPlace(str(root), follow_links=True).load("a", offset=0, size=2, whole=True, signature="") == b"12"


def test_stat_tells_what_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12")
    root = tmp_path / "root"
    root.mkdir()
    (root / "ok").write_bytes(b"12")
    (root / "a").symlink_to("../secret")
    (root / "folder").symlink_to("..")
    kinds = {path: (LocalPlace(str(root)).stat(path).problem or ("",))[0] for path in ("ok", "a", "folder/secret", "b")}
    assert kinds == {"ok": "", "a": "link_outside", "folder/secret": "link_outside", "b": "missing"}
    assert LocalPlace(str(root)).stat(".").problem == ("not_a_file", ".: a folder, not a file")


def test_a_window_gives_the_same_bytes_by_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    (tmp_path / "a").write_bytes(data)
    signature = f"mtime:{os.stat(tmp_path / 'a').st_mtime_ns}"
    place = LocalPlace(str(tmp_path))
    with place.window("a", offset=0, size=len(data), whole=True, signature=signature) as window:
        assert window.read(10) == data[:10]
        assert (window.seek(-7, os.SEEK_END), window.read()) == (len(data) - 7, data[-7:])
        assert (window.seek(0), window.tell(), window.read(-1)) == (0, 0, data)
        assert window.read(5) == b""
    with place.window("a", offset=300, size=77, whole=False, signature=signature) as window:
        assert window.read(1000) == data[300:377]
        assert window.seek(50, os.SEEK_SET) + window.seek(20, os.SEEK_CUR) == 120
        assert window.read() == data[370:377]


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_file_that_changes_while_it_is_read_by_pieces_is_unreadable(tmp_path: Path, change: str) -> None:
    path, data = tmp_path / "a", bytes(5000)
    path.write_bytes(data)
    listed = os.stat(path)
    signature = f"mtime:{listed.st_mtime_ns}"
    place = LocalPlace(str(tmp_path))
    with place.window("a", offset=0, size=len(data), whole=True, signature=signature) as window:
        assert len(window.read(1000)) == 1000
        path.write_bytes({"longer": data + b"1", "shorter": data[:1000], "other": data[::-1]}[change])
        os.utime(path, ns=(listed.st_atime_ns, listed.st_mtime_ns + (change == "other")))
        with pytest.raises(Unreadable):
            window.read(1000)
    with pytest.raises(Unreadable):
        place.window("a", offset=0, size=len(data), whole=True, signature=signature)


def test_a_window_closes_its_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    window = LocalPlace(str(tmp_path)).window("a", offset=0, size=3, whole=True, signature="")
    window.close()
    window.close()
    with pytest.raises(ValueError, match="closed"):
        window.read(1)

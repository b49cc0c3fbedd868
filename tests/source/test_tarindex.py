"""Tar headers: as `tarfile` reads them, and stricter about what is broken."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdata.source.tarindex import BLOCK, MAX_HEADER_BYTES, BrokenTar, TarMember, members

FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}


def packed(files: dict[str, bytes], form: str = "pax") -> bytes:
    opened = io.BytesIO()
    with tarfile.open(fileobj=opened, mode="w", format=FORMATS[form]) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return opened.getvalue()


def index(data: bytes) -> tuple[list[TarMember], str]:
    """What could be read, and why not more."""
    found: list[TarMember] = []
    try:
        for member in members(io.BytesIO(data)):
            found.append(member)  # noqa: PERF402  what came before an error is wanted too
    except BrokenTar as error:
        return found, str(error)
    return found, ""


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=150).map(lambda name: f"n{name}n")


@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=4), st.sampled_from(sorted(FORMATS)))
@example({"é" * 200: b"x", "d/" * 120 + "e": b"", "n" * 300: b"1" * 512}, "gnu")
@example({"é" * 200: b"x", "d/" * 120 + "e": b"", "n" * 300: b"1" * 512}, "pax")
@settings(max_examples=60, deadline=None)
def test_agrees_with_tarfile(files: dict[str, bytes], form: str) -> None:
    data = packed(files, form)
    found, broken = index(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.name, m.offset, m.size) for m in found] == [
            (m.name, m.offset_data, m.size) for m in tar.getmembers()
        ]
    assert not broken
    assert [data[m.offset : m.offset + m.size] for m in found] == list(files.values())


def test_tells_links_folders_and_devices() -> None:
    opened = io.BytesIO()
    kinds = {"file": b"0", "link": b"2", "folder": b"5", "device": b"3", "other": b"Z"}
    with tarfile.open(fileobj=opened, mode="w") as tar:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert {member.name: member.kind for member in index(opened.getvalue())[0]} == {
        name + "/" * (name == "folder"): name for name in kinds
    }


def test_a_size_past_octal_digits_is_read_as_binary() -> None:
    info = tarfile.TarInfo("big")
    info.size = 1 << 34
    header = info.tobuf(tarfile.GNU_FORMAT)
    assert index(header + bytes(1024)) == ([], f"it breaks off at byte {len(header) + 1024}, in 'big', of whose "
                                               f"{1 << 34} bytes 1024 are there")  # fmt: skip


THREE = packed({"a": b"1" * 600, "b": b"2" * 600, "c": b"3"}, "gnu")  # headers at 0, 1536 and 3072


@pytest.mark.parametrize(
    ("length", "n_found", "says"),
    [
        (0, 0, "ends at byte 0 without the mark"),
        (511, 0, "breaks off at byte 511, in a header"),
        (512, 0, "in 'a', of whose 600 bytes 0 are there"),
        (1111, 0, "in 'a', of whose 600 bytes 599 are there"),
        (1112, 1, "breaks off at byte 1112, in a header"),
        (1536, 1, "ends at byte 1536 without the mark"),
        (3073, 2, "breaks off at byte 3073, in a header"),
        (4096, 3, "ends at byte 4096 without the mark"),
        (4608, 3, ""),
    ],
)
def test_an_archive_that_breaks_off_gives_what_came_before(length: int, n_found: int, says: str) -> None:
    found, broken = index(THREE[:length])
    assert (len(found), bool(broken)) == (n_found, bool(says))
    assert says in broken


def test_a_damaged_header_ends_the_archive() -> None:
    damaged = bytearray(THREE)
    damaged[1536 + 3] ^= 1
    assert index(bytes(damaged)) == (index(THREE)[0][:1], "byte 1536 begins no header: its checksum is wrong")


def test_a_header_can_not_ask_for_all_memory() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = b"L", MAX_HEADER_BYTES + 1
    found, broken = index(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    assert not found
    assert "at most" in broken


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"11 path=x\n", "the pax header at byte 0 is damaged"),
        (b"9 path=x\n 9 path=x\n", "the pax header at byte 0 is damaged"),
        (b"0 path=\n", "the pax header at byte 0 is damaged"),
        (b"nonsense", "the pax header at byte 0 is damaged"),
        (b"11 size=-1\n", "the header at byte 1024 says a size of '-1'"),
        (b"13 size=1e99\n", "the header at byte 1024 says a size of '1e99'"),
        (b"17 size=99999999\n", "whose 99999999 bytes"),
    ],
)
def test_damaged_pax_headers_are_told(body: bytes, says: str) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", len(body)
    data = info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(BLOCK, b"\0") + packed({"a": b"1"}, "gnu")
    found, broken = index(data)
    assert not found
    assert says in broken


@given(st.binary(max_size=64), st.integers(0, len(THREE)), st.integers(0, len(THREE)))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_members_lie_inside(junk: bytes, at: int, end: int) -> None:
    data = (THREE[:at] + junk + THREE[at + len(junk) :])[:end]
    for member in index(data)[0]:
        assert 0 <= member.offset <= member.offset + member.size <= len(data) or member.kind != "file"


def test_old_folders_and_signed_checksums_are_read_as_tarfile_does() -> None:
    info = tarfile.TarInfo("é/")
    info.type = b"\0"
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 256
    header[148:156] = b"%06o\0 " % signed
    data = bytes(header) + bytes(1024)
    assert [(m.name, m.kind) for m in index(data)[0]] == [("é/", "folder")]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["é"]


def test_pax_records_for_all_members_hold_until_their_own_say_otherwise() -> None:
    def block(kind: bytes, body: bytes) -> bytes:
        info = tarfile.TarInfo("pax")
        info.type, info.size = kind, len(body)
        return info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(BLOCK, b"\0")

    data = block(b"g", b"15 path=shared\n") + block(b"x", b"12 path=own\n")
    data += packed({"a": b"1", "b": b"2"}, "gnu")
    assert [member.name for member in index(data)[0]] == ["own", "shared"]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["own", "shared"]


def summed(header: bytearray) -> bytes:
    """A header with the checksum that its other bytes ask for."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_times_in_gnu_headers_are_no_part_of_the_name() -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[345:357] = b"12345670123\0"
    assert [member.name for member in index(summed(header) + bytes(1024))[0]] == ["a"]


def test_sparse_files_are_told_and_stepped_over() -> None:
    body = b"22 GNU.sparse.major=1\n"
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", len(body)
    by_pax = info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(BLOCK, b"\0") + packed({"a": b"1", "b": b"2"}, "gnu")
    assert [(m.name, m.kind) for m in index(by_pax)[0]] == [("a", "sparse"), ("b", "file")]
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[482] = b"S", 1
    header[124:136] = b"00000000001\0"
    maps = bytearray(2 * BLOCK)
    maps[504] = 1
    old = summed(header) + bytes(maps) + b"1".ljust(BLOCK, b"\0") + packed({"b": b"2"}, "gnu")
    assert [(m.name, m.kind, m.offset) for m in index(old)[0]] == [("a", "sparse", 3 * BLOCK), ("b", "file", 5 * BLOCK)]

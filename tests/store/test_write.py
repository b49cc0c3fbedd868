"""Workers' files: whole or not at all, and the same bytes for the same rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Audio, Blob, Image, Part, Pointer, Sample, Text
from mmdata.core.spans import SpaceMap, TimeMap
from mmdata.errors import DataError, Unreadable
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.write import ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported
SHARD, FP = "a" * 16, "b" * 16


def writer(made: Made) -> ShardWriter:
    return ShardWriter(made.url, shard=SHARD, fp=FP, source="src")


def stored(sample: Sample) -> dict[str, Encoded]:
    return {name: Encoded(part, "bin", part) for name, part in sample.parts.items() if isinstance(part, Blob)}


def rows_of(made: Made, file: DataFile) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(Path(made.url) / file.path).to_pylist()
    return rows


def everything(made: Made) -> dict[str, bytes]:
    root = Path(made.url)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_row_says_where_its_parts_lie(made: Made) -> None:
    sample = Sample("src/x@0-5", {"b": Blob.of(b"second"), "a": Blob.of(b"first")}, {"label": "cat", "z": [1]}, "src/x")
    with writer(made) as shard:
        shard.add(sample, stored(sample), pointers={"a": "x#bytes=3-8"})
        [file] = shard.close()
    [row] = rows_of(made, file)
    assert (row["key"], row["parent"], row["label"]) == ("src/x@0-5", "src/x", "cat")
    assert json.loads(row["meta"]) == {"label": "cat", "z": [1]}
    assert [part["name"] for part in row["parts"]] == ["a", "b"]
    assert row["parts"][0]["pointer"] == "x#bytes=3-8"
    assert row["parts"][1]["pointer"] is None
    assert file.media is not None
    tar = (Path(made.url) / file.media.path).read_bytes()
    for part, body in zip(row["parts"], [b"first", b"second"], strict=True):
        assert tar[part["offset"] : part["offset"] + part["length"]] == body


@pytest.mark.parametrize(("label", "column"), [("a", "a"), (None, None), (5, "5"), (True, "true"), (["x"], '["x"]')])
def test_a_label_that_is_no_text_becomes_json(made: Made, label: object, column: str | None) -> None:
    sample = Sample("k", {}, {"label": label})
    shard = writer(made)
    shard.add(sample, {}, pointers={})
    assert rows_of(made, shard.close()[0])[0]["label"] == column


def test_the_file_names_and_log_entries_follow_from_shard_fingerprint_and_keys(made: Made) -> None:
    shard = writer(made)
    shard.add(Sample("k", {}), {}, pointers={})
    [file] = shard.close()
    name = f"{SHARD}-{FP}-{keys_digest(['k'])}"
    assert file.path == f"samples/{name}.parquet"
    assert file.media is not None
    assert file.media.path == f"media/{name}.tar"
    assert (file.rows, file.source, file.keys) == (1, "src", keys_digest(["k"]))
    for item in (file, file.media):
        assert Files.at(made.url).measure(item.path) == (item.size_bytes, item.digest)


def test_a_shard_without_rows_is_a_file_without_a_tar(made: Made) -> None:
    shard = writer(made)
    shard.drop("src/d", "clean.Step", "silent", "d.wav")
    samples, drops = shard.close()
    assert (samples.rows, samples.media) == (0, None)
    assert rows_of(made, samples) == []
    assert rows_of(made, drops) == [{"key": "src/d", "step": "clean.Step", "reason": "silent", "pointer": "d.wav"}]
    assert not (Path(made.url) / "media").exists()


def test_rejects_keep_what_happened_even_where_it_is_no_unicode(made: Made) -> None:
    shard = writer(made)
    shard.reject("bad\udcff", "codec.image.DecodeImage", "decode", "no \ud800 picture", "Traceback", None)
    _, rejects = shard.close()
    [row] = rows_of(made, rejects)
    assert row["key"] == "bad\\udcff"
    assert row["error"] == "no \\ud800 picture"
    assert row["pointer"] is None


def test_drops_and_rejects_that_are_not_there_make_no_files(made: Made) -> None:
    shard = writer(made)
    shard.add(Sample("k", {}), {}, pointers={})
    assert [file.family for file in shard.close()] == ["samples"]


def test_a_part_of_no_bytes_is_kept(made: Made) -> None:
    sample = Sample("k", {"empty": Blob.of(b""), "next": Blob.of(b"x")})
    shard = writer(made)
    shard.add(sample, stored(sample), pointers={})
    [file] = shard.close()
    [back] = read.samples(Files.at(made.url), file)
    assert [part.data() for part in back.parts.values() if isinstance(part, Blob)] == [b"", b"x"]


def test_a_reference_is_pointed_to_and_fetched_when_asked(made: Made) -> None:
    sample = Sample("k", {"film": Blob(Pointer("a.mp4"), 7, lambda: b"never", "dir/a.mp4")})
    shard = writer(made)
    shard.add(sample, {}, pointers={"film": "a.mp4#bytes=0-7"}, references=["film"])
    [file] = shard.close()
    [row] = rows_of(made, file)
    [part] = row["parts"]
    assert (part["offset"], part["length"], part["encoding"], part["extension"]) == (None, 7, "reference", "mp4")
    [back] = read.samples(Files.at(made.url), file)
    with pytest.raises(Unreadable, match=r"'k': part 'film' is .* source.*a.mp4#bytes=0-7"):
        back.parts["film"].data()  # type: ignore[union-attr]
    [back] = read.samples(Files.at(made.url), file, fetch=lambda pointer: str(pointer).encode())
    assert back.parts["film"].data() == b"a.mp4#bytes=0-7"  # type: ignore[union-attr]


def test_maps_kinds_and_encodings_come_back(made: Made) -> None:
    own = Blob.of(b"own")
    image = Image(np.zeros((2, 2, 3), np.uint8), space_map=SpaceMap().cropped(left=3, top=4))
    audio = Audio(np.zeros((1, 80), np.float32), 8, time_map=TimeMap.identity(20).cut(5, 15))
    parts: dict[str, Part] = {
        "image": image,
        "speech": audio,
        "kept": Image(image.pixels, origin=own),
        "text": Text("hé"),
    }
    files = {
        "image": Encoded(Blob.of(b"png"), "png", image),
        "speech": Encoded(Blob.of(b"flac"), "flac", audio),
        "kept": Encoded(own, "jpg", parts["kept"]),
        "text": Encoded(Blob.of("hé".encode()), "txt", parts["text"]),
    }
    shard = writer(made)
    shard.add(Sample("k", parts), files, pointers={})
    [back] = read.samples(Files.at(made.url), shard.close()[0])
    blobs = {name: part for name, part in back.parts.items() if isinstance(part, read.StoredBlob)}
    assert {name: blob.kind for name, blob in blobs.items()} == {
        "image": "image", "speech": "audio", "kept": "image", "text": "text",
    }  # fmt: skip
    assert {name: blob.encoding for name, blob in blobs.items()} == {
        "image": "encoded", "speech": "encoded", "kept": "copy", "text": "encoded",
    }  # fmt: skip
    assert blobs["image"].space_map == image.space_map
    assert blobs["speech"].time_map == audio.time_map
    assert blobs["kept"].space_map is None
    assert blobs["kept"].time_map is None


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample("", {}), "empty key"),
        (Sample("bad\udcff", {}), "not Unicode"),
        (Sample("k", {}, {"x": float("nan")}), "JSON"),
        (Sample("k", {}, {"x": {1, 2}}), "JSON"),
        (Sample("k", {}, {"x": "\ud800"}), "not Unicode"),
        (Sample("there", {}), "twice"),
    ],
)
def test_a_sample_that_cant_be_stored_leaves_nothing_behind(made: Made, sample: Sample, message: str) -> None:
    shard, alone = writer(made), writer(made)
    for each in (shard, alone):
        each.add(Sample("there", {"a": Blob.of(b"x")}), {}, pointers={})
    with pytest.raises(DataError, match=message):
        shard.add(sample, stored(sample), pointers={})
    assert shard.close() == alone.close()


def test_a_text_that_is_no_unicode_is_the_samples_fault(made: Made) -> None:
    text = Text("\ud800")
    with writer(made) as shard, pytest.raises(DataError, match="not Unicode"):
        shard.add(Sample("k", {"t": text}), {"t": Encoded(Blob.of(b"?"), "txt", text)}, pointers={})


def test_bytes_that_cant_be_had_leave_nothing_of_their_sample(made: Made) -> None:
    def gone() -> bytes:
        raise Unreadable("gone")

    sample = Sample("k", {"a": Blob.of(b"x"), "b": Blob(Pointer("b"), 3, gone)})
    shard = writer(made)
    with pytest.raises(Unreadable):
        shard.add(sample, stored(sample), pointers={})
    [file] = shard.close()
    assert (file.rows, file.media) == (0, None)


def test_the_same_rows_give_the_same_bytes(made: Made, tmp_path: Path) -> None:
    made.samples(1, rows=40, drops=["d"], rejects=["r"])
    other = type(made)(str(tmp_path / "elsewhere"))
    Path(other.url).mkdir()
    other.samples(1, rows=40, drops=["d"], rejects=["r"])
    first = everything(made)
    first.pop("store.json")
    assert first == everything(other)
    assert len(first) == 4


def test_writing_again_what_a_killed_run_left_keeps_it(made: Made) -> None:
    def files() -> dict[Path, tuple[int, bytes]]:
        found = [path for path in Path(made.url).rglob("*.*") if path.is_file()]
        return {path: (os.stat(path).st_ino, path.read_bytes()) for path in found}

    before, there = made.samples(1), files()
    old_s = 1_000_000_000
    for path in there:
        os.utime(path, (old_s, old_s))
    assert made.samples(1) == before
    assert files() == there
    taken_up = [Path(made.url) / before[0].path, Path(made.url) / (before[0].media.path if before[0].media else "")]
    assert all(os.stat(path).st_mtime > old_s for path in taken_up)  # it is young again: gc must not sweep it now


def test_other_bytes_under_a_taken_name_get_a_name_of_their_own(made: Made) -> None:
    def of(body: bytes) -> DataFile:
        sample = Sample("k", {"a": Blob.of(body)})
        shard = writer(made)
        shard.add(sample, stored(sample), pointers={})
        return shard.close()[0]

    first, second = of(b"libjpeg 1"), of(b"libjpeg 2 is longer")
    assert first.media is not None
    assert second.media is not None
    assert first.media.path != second.media.path
    for file, body in ((first, b"libjpeg 1"), (second, b"libjpeg 2 is longer")):
        [back] = read.samples(Files.at(made.url), file)
        assert back.parts["a"].data() == body  # type: ignore[union-attr]


def test_memory_is_bounded_by_row_groups_that_do_not_hang_on_sizes_of_calls(made: Made) -> None:
    shard = writer(made)
    for number in range(2_300):
        shard.add(Sample(f"k{number}", {}), {}, pointers={})
    [file] = shard.close()
    footer = pq.read_metadata(Path(made.url) / file.path)
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [1_000, 1_000, 300]


def test_what_is_not_closed_leaves_no_files(made: Made) -> None:
    with writer(made) as shard:
        shard.add(Sample("k", {}), {}, pointers={})
    assert set(everything(made)) == {"store.json"}


KILLED = """
import sys, time
from mmdata.core.sample import Blob, Sample
from mmdata.core.ports import Encoded
from mmdata.store.write import ShardWriter
shard = ShardWriter(sys.argv[1], shard="a" * 16, fp="b" * 16, source="src")
for number in range(100_000):
    blob = Blob.of(bytes(10_000))
    shard.add(Sample(f"k{number}", {"a": blob}), {"a": Encoded(blob, "bin", blob)}, pointers={})
    if number == 500:
        print("writing", flush=True)
"""


def test_a_killed_worker_leaves_only_scratch_files(made: Made) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, made.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    left = set(everything(made)) - {"store.json"}
    assert left
    assert all(path.startswith("tmp/") for path in left)
    assert made.store.files("samples") == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(
        st.dictionaries(st.text("aB. /", min_size=1, max_size=4), st.binary(max_size=2_000), max_size=4), max_size=6
    )
)
def test_whatever_goes_in_comes_out(made: Made, bodies: list[dict[str, bytes]]) -> None:
    shard = writer(made)
    for number, parts in enumerate(bodies):
        sample = Sample(f"k/{number}", {name: Blob.of(body) for name, body in parts.items()}, {"n": number})
        shard.add(sample, stored(sample), pointers={})
    back = list(read.samples(Files.at(made.url), shard.close()[0]))
    assert [sample.meta["n"] for sample in back] == list(range(len(bodies)))
    found = [{name: blob.data() for name, blob in sample.parts.items() if isinstance(blob, Blob)} for sample in back]
    assert found == bodies

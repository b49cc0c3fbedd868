"""Damage of any kind is found and named, and can be mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Blob, Sample
from mmdata.store.layout import DataFile
from mmdata.store.store import Change
from mmdata.store.verify import forget, verify
from mmdata.store.write import ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported
S1 = "1" * 16


def test_a_sound_store_has_no_faults(filled: Made) -> None:
    filled.commit(*filled.samples(3))
    filled.store.snapshot("v1")
    found = verify(filled.store)
    assert found.is_sound
    assert found.damaged == []
    assert found.n_samples == 20
    assert found.n_files == 4 * 2 + 3 * 4
    assert found.lacking == {"image.phash": 1, "speech.mfcc": 1}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(flip, "its bytes changed"), (cut, "bytes, the log says"), (empty, "it has 0 bytes"), (Path.unlink, "it is gone")],
)
@pytest.mark.parametrize("family", ["samples", "media", "drops", "rejects", "image.phash"])
def test_damage_is_found_in_every_family(
    filled: Made, family: str, damage: Callable[[Path], None], message: str
) -> None:
    file = filled.store.files("samples" if family == "media" else family)[1]
    path = file.media.path if family == "media" else file.path
    damage(Path(filled.url) / path)
    found = verify(filled.store)
    assert [fault.path for fault in found.faults] == [path]
    assert message in found.faults[0].error
    assert found.damaged == [file]


def test_what_a_snapshot_pins_is_checked_too(filled: Made) -> None:
    file = filled.store.files("image.phash")[0]
    filled.store.snapshot("v1")
    filled.store.commit([Change("image.phash", remove=[file])])
    flip(Path(filled.url) / file.path)
    assert [fault.path for fault in verify(filled.store).faults] == [file.path]


def test_forgetting_damaged_samples_takes_their_shard_out(filled: Made) -> None:
    store = filled.store
    samples, phash = store.files("samples")[1], store.files("image.phash")[2]
    flip(Path(filled.url) / samples.path)
    flip(Path(filled.url) / phash.path)
    forget(store, verify(store))
    assert [len(store.files(family)) for family in ("samples", "drops", "rejects", "image.phash", "speech.mfcc")] == [
        2, 2, 2, 1, 2,
    ]  # fmt: skip
    assert len(store) == 10
    assert verify(store).is_sound
    forget(store, verify(store))


def shard_of(made: Made, keys: list[str], shard: str) -> DataFile:
    with ShardWriter(made.url, shard=shard, fp=S1, source="src") as writer:
        for key in keys:
            writer.add(Sample(key, {"a": Blob.of(b"x")}), {}, pointers={})
        return writer.close()[0]


def test_a_key_in_two_shards_is_found(made: Made) -> None:
    made.commit(shard_of(made, ["x", "y"], "a" * 16), shard_of(made, ["z", "x"], "b" * 16))
    [fault] = verify(made.store).faults
    assert fault.error == f"key 'x' is in shard {'a' * 16}, too"


def test_rows_that_are_not_the_logs_are_found(made: Made) -> None:
    file = shard_of(made, ["x", "y"], "a" * 16)
    for wrong, message in (
        (replace(file, rows=3), "it has 2 rows, the log says 3"),
        (replace(file, keys=keys_digest(["y", "x"])), "its keys have the digest"),
    ):
        made.commit(wrong)
        assert [message in fault.error for fault in verify(made.store).faults] == [True]
        made.commit(remove=[wrong])


def test_a_tar_of_other_samples_is_found(made: Made) -> None:
    one, other = shard_of(made, ["x", "y"], "a" * 16), shard_of(made, ["x", "longer"], "b" * 16)
    made.commit(replace(one, media=other.media))
    errors = [fault.error for fault in verify(made.store).faults]
    assert "y.json is not there" in errors
    assert any("no row has 'longer.json'" in error for error in errors)

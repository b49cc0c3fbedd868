"""What holds for every source, as tests: a subclass with one fixture gets them all.

    from mmdata.testing.contracts.sources import SourceCase, SourceContract

    class TestMails(SourceContract):
        @pytest.fixture
        def case(self, tmp_path: Path) -> SourceCase:
            folder = tmp_path / "mails"
            folder.mkdir()
            (folder / "1.eml").write_bytes(b"...")
            return SourceCase(Mails(str(folder), name="mails"), folder, {"1": {"text": b"..."}})

Give it several samples, with names that are hard to write (spaces, quotes, `#`, `%`, line breaks, accents), in folders.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from pydantic import TypeAdapter

from mmdata.core.ports import Entry, Source
from mmdata.core.sample import Blob, Sample
from mmdata.errors import Unreadable


@dataclass(frozen=True)
class SourceCase:
    """A source over a folder, and what it should find there.

    Args:
        source: reads `folder` or something in it. folder: can be moved and removed.
        parts: by key without the source's name, by part, the bytes.
    """

    source: Source
    folder: Path
    parts: dict[str, dict[str, bytes]]


def moved(source: Source, folder: Path, to: Path) -> Source:
    """The same source after its folder has another path."""
    where = dataclasses.fields(cast(Any, source))[0].name
    location = str(getattr(source, where)).replace(str(folder), str(to), 1)
    return cast(Source, dataclasses.replace(cast(Any, source), **{where: location}))


def contents(samples: Sequence[Sample]) -> dict[str, dict[str, bytes]]:
    return {sample.key: {name: cast(Blob, part).data() for name, part in sample.parts.items()} for sample in samples}


class SourceContract:
    """Tests of one source. It is a frozen dataclass whose first field says where the files lie.

    Args:
        lists_sizes: whether a listing knows how many bytes each part has; otherwise it guesses, or says 0.
        reads_ahead: whether samples hold their bytes when they are given, as asking for one alone costs too much.
    """

    lists_sizes: ClassVar[bool] = True
    reads_ahead: ClassVar[bool] = False

    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        raise NotImplementedError("a subclass of SourceContract gives a fixture `case` that returns a SourceCase")

    def test_finds_every_sample_in_order_of_key(self, case: SourceCase) -> None:
        keys = [entry.key for entry in case.source.scan().entries]
        assert keys == sorted(f"{case.source.name}/{key}" for key in case.parts)

    def test_gives_the_bytes_of_every_part_in_order(self, case: SourceCase) -> None:
        entries = case.source.scan().entries
        samples = list(case.source.read(entries))
        assert [sample.key for sample in samples] == [entry.key for entry in entries]
        assert contents(samples) == {f"{case.source.name}/{key}": parts for key, parts in case.parts.items()}

    def test_reads_any_entries_in_any_order(self, case: SourceCase) -> None:
        entries = list(case.source.scan().entries)[::-2]
        assert [sample.key for sample in case.source.read(entries)] == [entry.key for entry in entries]
        assert list(contents(list(case.source.read(entries))).values()) == [
            case.parts[entry.key.removeprefix(f"{case.source.name}/")] for entry in entries
        ]

    def test_two_scans_agree(self, case: SourceCase) -> None:
        assert case.source.scan() == case.source.scan()

    def test_blobs_have_the_size_that_was_promised(self, case: SourceCase) -> None:
        entries = case.source.scan().entries
        for entry, sample in zip(entries, case.source.read(entries), strict=True):
            assert [member.part for member in entry.members] == sorted(sample.parts)
            for member in entry.members:
                blob = cast(Blob, sample.parts[member.part])
                assert blob.size == len(blob.data())
                assert member.size == blob.size or not self.lists_sizes
                assert str(blob.pointer) == member.pointer

    def test_metadata_comes_with_the_sample(self, case: SourceCase) -> None:
        entries = case.source.scan().entries
        assert [sample.meta for sample in case.source.read(entries)] == [entry.meta for entry in entries]

    def test_entries_survive_the_plan(self, case: SourceCase) -> None:
        for entry in case.source.scan().entries:
            text = json.dumps(entry.to_json(), allow_nan=False, ensure_ascii=False).encode()
            assert Entry.from_json(json.loads(text)) == entry

    def test_survives_the_way_to_another_process(self, case: SourceCase) -> None:
        assert pickle.loads(pickle.dumps(case.source)) == case.source  # noqa: S301  bytes of our own
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(case.source.scan) == case.source.scan()

    def test_settings_survive_json(self, case: SourceCase) -> None:
        fields = {entry.name: getattr(case.source, entry.name) for entry in dataclasses.fields(cast(Any, case.source))}
        again = TypeAdapter(type(case.source)).validate_python(json.loads(json.dumps(fields)))
        assert again == case.source

    def test_the_constructor_touches_nothing(self, case: SourceCase, monkeypatch: pytest.MonkeyPatch) -> None:
        def touched(*_: object, **__: object) -> None:
            raise AssertionError("the constructor touched the disk")

        for name in ("builtins.open", "os.open", "os.stat", "os.lstat", "os.scandir", "os.getcwd"):
            monkeypatch.setattr(name, touched)
        moved(case.source, case.folder, Path("/nowhere"))

    def test_moving_the_folder_changes_no_key(self, case: SourceCase, tmp_path: Path) -> None:
        before = case.source.scan()
        shutil.move(case.folder, tmp_path / "elsewhere")
        after = moved(case.source, case.folder, tmp_path / "elsewhere")
        assert after.scan().entries == before.entries
        assert len(contents(list(after.read(before.entries)))) == len(case.parts)

    def test_bytes_that_are_gone_are_unreadable(self, case: SourceCase) -> None:
        samples = list(case.source.read(case.source.scan().entries))
        shutil.rmtree(case.folder)
        for sample in samples:
            for part in sample.parts.values():
                if self.reads_ahead and cast(Blob, part).is_read:
                    continue
                with pytest.raises(Unreadable, match="no such file"):
                    cast(Blob, part).data()

    @pytest.mark.parametrize("uri", ["../secret", "/etc/passwd", "a/../../secret", "%2E%2E/secret", "", "a\0b"])
    @pytest.mark.parametrize("tail", ["", "#bytes=0-6", "#row=0,column=text"])
    def test_no_pointer_leads_out(self, case: SourceCase, uri: str, tail: str) -> None:
        (case.folder.parent / "secret").write_text("secret")
        entry = case.source.scan().entries[0]
        forged = dataclasses.replace(entry.members[0], pointer=uri + tail, size=6, signature="")
        (sample,) = case.source.read([dataclasses.replace(entry, members=(forged,))])
        with pytest.raises(Unreadable):
            cast(Blob, sample.parts[forged.part]).data()

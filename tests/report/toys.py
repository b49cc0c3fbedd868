"""Stores made by hand, so that each fact about them is known; and a reader of pages that trusts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.store import Store, selections
from mmdata.store.files import Files
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.build import picture, tone

FP = "f" * 16
SPECS = {
    "image.sharpness": ArraySpec(),
    "image.embedding": ArraySpec(dims=("feature",), sizes={"feature": 8}),
}
CONTENT = {
    "counts": {"steps": {"shard": {"n": 2, "seconds": 4.0}, "clean.text.KeepLength": {"n": 9, "seconds": 3.0}}},
    "seconds": 2.5,
}
FILE = "source: x\ningest:\n  - codec.image.DecodeImage\n  - clean.text.KeepLength\n  - clean.image.KeepSharp\n"


@dataclass(frozen=True)
class Row:
    """A sample to be stored.

    Args:
        name: its key is toy/NAME. sharpness: None where the feature failed.
    """

    name: str
    label: str | None = None
    text: str = "a caption"
    meta: Mapping[str, Any] = field(default_factory=dict)
    sharpness: float | None = 1.0
    image: bytes | None = None
    speech: bytes | None = None


def add_shard(
    store: Store,
    shard: str,
    rows: Sequence[Row],
    *,
    drops: Sequence[tuple[str, str, str]] = (),
    rejects: Sequence[tuple[str, str, str, str]] = (),
) -> None:
    with ShardWriter(store.url, shard=shard, fp=FP, source="toy") as writer:
        for row in rows:
            text = Text(row.text)
            parts = {"caption": Encoded(Blob.of(row.text.encode("utf-8", "replace")), "txt", text)}
            if row.image is not None:
                parts["image"] = Encoded(Blob.of(row.image), "jpg", _image())
            if row.speech is not None:
                parts["speech"] = Encoded(Blob.of(row.speech), "flac", tone(seconds=1))
            meta = {**row.meta, **({"label": row.label} if row.label is not None else {})}
            sample = Sample(f"toy/{row.name}", {name: part.as_read for name, part in parts.items()}, meta)
            writer.add(sample, parts, pointers={})
        for key, step, reason in drops:
            writer.drop(key, step, reason, f"{key}.jpg")
        for key, step, kind, error in rejects:
            writer.reject(key, step, kind, error, "Traceback ...", f"{key}.jpg")
        files, keys = writer.close(), writer.keys
    changes = [Change(family, add=[file for file in files if file.family == family]) for family in _families(files)]
    for family, spec in SPECS.items() if rows else ():
        features = FeatureWriter(store.url, family, {family: spec}, shard=shard, fp=FP)
        values = [None if row.sharpness is None else _value(spec, row.sharpness) for row in rows]
        features.add(keys, {family: values}, errors=[None if value is not None else "it failed" for value in values])
        changes.append(Change(family, {family: spec}, [features.close(keys_digest(keys))]))
    store.commit(changes)


def _families(files: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(file.family for file in files))


def _image() -> Any:
    return picture(8, 8)


def _value(spec: ArraySpec, value: float) -> np.ndarray:
    if not spec.dims:
        return np.array(value, np.float32)
    wave: np.ndarray = np.cos(np.arange(8, dtype=np.float32) * (value % 7)).astype(np.float32)
    return wave


def select(
    store: Store, splits: Sequence[str | None], reasons: Sequence[str | None], clusters: Sequence[int | None]
) -> None:
    """Put down a selection "v1", a row a sample in the store's order."""
    import pyarrow as pa

    n = len(splits)
    rows = pa.table(
        {
            "key": pa.array(store.keys()),
            "split": pa.array(splits, pa.string()),
            "weight": pa.array([1.0] * n),
            "reason": pa.array(reasons, pa.string()),
            "cluster": pa.array(clusters, pa.int64()),
            "since": pa.nulls(n, pa.int64()),
        },
        schema=selections.SCHEMA,
    )
    selections.write(Files.at(store.url), "v1", rows, fp="a" * 16)


def empty(folder: Path) -> Store:
    store = Store.create(str(folder))
    run = store.start_run(command="run", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)), pipeline={"file": FILE})
    store.finish_run(run, counts=CONTENT["counts"], seconds=2.5)  # type: ignore[arg-type]
    return store


HOSTILE = "<script>document.title='taken'</script>\"'&<!--</title>\u202egpj.exe\n{{ 7*7 }}"


@dataclass
class Element:
    """A tag as it was met: its name, attributes and the text right inside."""

    name: str
    attributes: dict[str, str]
    text: str = ""


class Page(HTMLParser):
    """What a browser would see of a page."""

    VOID = frozenset({"meta", "img", "br", "hr", "input", "link"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.unclosed: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert [each.name for each in self.open[-1:]] == [tag]
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data

    def all(self, name: str) -> list[Element]:
        return [element for element in self.elements if element.name == name]

    @property
    def text(self) -> str:
        return " ".join(element.text for element in self.elements if element.name not in ("script", "style"))

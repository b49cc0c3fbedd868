"""Plain files, and a list of them that needs nothing but JSON.

    DEST/manifest.jsonl
    DEST/media/KEY.PART.EXTENSION
    DEST/arrays/KEY.FEATURE.npy

A line of the manifest is a sample: key, path (the key without its source's name), source, parent, split, weight, label,
meta, texts, parts, errors; a column a part with its file's path; "features" has numbers, and "arrays" the paths of
the others. Paths are relative to the manifest and have names that every disk takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmdata.sink.contents import Contents, Output
from mmdata.sink.form import Place, Written
from mmdata.sink.names import ABOUT, Columns, columns_of, feature_suffixes, file_stem
from mmdata.sink.rows import Batch, Row
from mmdata.sink.webdataset import JSON, npy_bytes, scalars
from mmdata.store.layout import SCRATCH
from mmdata.store.media import suffixes

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Files:
    """Files for any program.

    Args:
        contents: what goes out.
    """

    contents: Contents

    def faults(self, contents: Contents) -> list[str]:  # noqa: ARG002  whatever there is can be a file
        """Why such contents can't be written so."""
        return []

    def names(self) -> dict[str, str]:
        """Parts by their column of the manifest, features by what their files end in."""
        own = {column: name for name, column in self.columns.parts.items()}
        return own | {suffix: name for name, suffix in self.arrays.items()}

    def path(self, output: Output) -> str:
        """A piece of the manifest."""
        return f"{SCRATCH}/{output.name}.jsonl"

    @cached_property
    def columns(self) -> Columns:
        return columns_of(self.contents)

    @cached_property
    def arrays(self) -> dict[str, str]:
        """The suffixes of features."""
        return feature_suffixes(self.contents)

    def write(self, output: Output, batches: Iterator[Batch], place: Place) -> Written:
        """Write a piece of the manifest, and the files that it names."""
        path, sizes = self.path(output), []
        with place.new(path) as lines:
            for batch in batches:
                for at, row in enumerate(batch.rows):
                    line, files = self._line(row, {name: found[at] for name, found in batch.arrays.items()})
                    for name, data in files:
                        place.put(name, data)
                        sizes.append(len(data))
                    lines.write(JSON.encode(line).encode() + b"\n")
        n_bytes = lines.size_bytes + sum(sizes)
        return Written(path, output.split, output.n_rows, lines.size_bytes, lines.digest, len(sizes), n_bytes)

    def _line(
        self, row: Row, arrays: Mapping[str, np.ndarray | None]
    ) -> tuple[dict[str, Any], Iterator[tuple[str, bytes]]]:
        """A sample's line of the manifest, and its files, each made when it is asked for."""
        stem, parts = file_stem(row.key), sorted(row.parts)
        named = suffixes((name, row.about["parts"][name]["extension"]) for name in parts)
        media = {name: f"media/{stem}.{suffix}" for name, suffix in zip(parts, named, strict=True)}
        there = {name: array for name, array in arrays.items() if array is not None and name in self.arrays}
        line = {name: row.about[name] for name in ABOUT if row.about[name] is not None}
        line |= {self.columns.parts[name]: path for name, path in media.items()}
        line["texts"], line["features"] = row.about["text"], scalars(arrays)
        line["arrays"] = {name: f"arrays/{stem}.{self.arrays[name]}" for name in there}

        def files() -> Iterator[tuple[str, bytes]]:
            yield from ((path, row.data(name)) for name, path in media.items())
            yield from ((line["arrays"][name], npy_bytes(array)) for name, array in there.items())

        return line, files()

    def finish(self, written: Sequence[Written], place: Place) -> Sequence[Written]:
        """Put the manifest together."""
        with place.new(MANIFEST) as manifest:
            for each in written:
                manifest.write(place.read(each.path))
        rows, n_files = sum(each.rows for each in written), sum(each.n_files for each in written)
        n_bytes = sum(each.n_bytes for each in written)
        return [Written(MANIFEST, "", rows, manifest.size_bytes, manifest.digest, 1 + n_files, n_bytes)]

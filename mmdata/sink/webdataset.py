"""WebDataset: tars that the `webdataset` package streams, and the list of them in the form of `wids`.

    DEST/SPLIT-00000-of-00002.tar
    DEST/SPLIT-index.json

A sample's members follow each other: `KEY.PART.EXTENSION` for each part, as the store's own tars have them,
`KEY.FEATURE.npy` for each feature that is an array, and `KEY.json` with all the rest: key, label, meta, text, parts,
and scalars under "features". KEY is percent-encoded where a dot or a quote would mislead; "key" in the JSON is exact.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmdata.sink.contents import Contents, Output
from mmdata.sink.form import Place, Written
from mmdata.sink.names import feature_suffixes
from mmdata.sink.rows import Batch, Row
from mmdata.store.media import TarWriter, safe_key, suffixes

VERSION = 1  # of what KEY.json says, under "mmdata"
JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class WebDataset:
    """Tars for `webdataset`.

    Args:
        contents: what goes out.
    """

    contents: Contents

    def faults(self, contents: Contents) -> list[str]:  # noqa: ARG002  whatever there is can be a member
        """Why such contents can't be written so."""
        return []

    def names(self) -> dict[str, str]:
        """Features by what their members end in."""
        return {suffix: name for name, suffix in self.arrays.items()}

    def path(self, output: Output) -> str:
        """The tar of an output."""
        return f"{output.name}.tar"

    @cached_property
    def arrays(self) -> dict[str, str]:
        """The suffixes of features."""
        return feature_suffixes(self.contents)

    def write(self, output: Output, batches: Iterator[Batch], place: Place) -> Written:
        """Write a tar, one part in memory at a time."""
        path = self.path(output)
        with place.new(path) as file:
            tar = TarWriter(file)
            for batch in batches:
                for at, row in enumerate(batch.rows):
                    self._add(tar, row, {name: arrays[at] for name, arrays in batch.arrays.items()})
            tar.close()
        return Written.of(path, output.split, output.n_rows, file)

    def _add(self, tar: TarWriter, row: Row, arrays: Mapping[str, np.ndarray | None]) -> None:
        base, parts = safe_key(row.key), sorted(row.parts)
        named = suffixes((name, row.about["parts"][name]["extension"]) for name in parts)
        for name, suffix in zip(parts, named, strict=True):
            tar.add(f"{base}.{suffix}", row.data(name))
        for name, array in arrays.items():
            if array is not None and name in self.arrays:
                tar.add(f"{base}.{self.arrays[name]}", npy_bytes(array))
        tar.add(f"{base}.json", JSON.encode({"mmdata": VERSION, **row.about, "features": scalars(arrays)}).encode())

    def finish(self, written: Sequence[Written], place: Place) -> Sequence[Written]:
        """Write the list of the tars of each split."""
        for split in dict.fromkeys(each.split for each in written):
            shards = [
                {"url": each.path, "nsamples": each.rows, "filesize": each.size_bytes}
                for each in written
                if each.split == split
            ]
            name = split or "samples"
            index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, "shardlist": shards}
            place.put(f"{name}-index.json", json.dumps(index, indent=1).encode())
        return written


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as a .npy file, which `numpy.load` reads."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def scalars(arrays: Mapping[str, np.ndarray | None]) -> dict[str, Any]:
    """The features that are one number, exactly; JSON has no NaN and no infinities, so these are texts."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if array is not None and array.ndim == 0:
            value = array.item()
            is_number = not isinstance(value, float) or math.isfinite(value)
            found[name] = value if is_number else str(np.float64(value))
    return found

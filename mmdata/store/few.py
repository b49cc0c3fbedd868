"""A few rows of a data file, of which only the row groups that hold them are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.tables import error_column


def rows_at(files: Files, file: DataFile, rows: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of some rows, in the order given; a column that the file lacks is None.

    Raises:
        IndexError: there is no such row.
        Incomplete, SchemaMismatch: as `read.open_rows`.
    """
    table, places = _groups(files, file, rows, columns)
    lacking = dict.fromkeys(name for name in columns if name not in table.column_names)
    return [lacking | row for row in table.take(pa.array(places, pa.int64())).to_pylist()]


def arrays_at(
    files: Files, file: DataFile, row: int, specs: Mapping[str, ArraySpec]
) -> tuple[dict[str, np.ndarray | None], str | None]:
    """One row's arrays of some columns of a feature file, and why the feature failed; None where it did not."""
    error = error_column(file.family)
    wanted = [each for column, spec in specs.items() for each in read.needed(column, spec)]
    table, places = _groups(files, file, [row], [*wanted, error])
    own = table.slice(places[0], 1)
    found = {column: read.arrays(own, column, spec)[0] for column, spec in specs.items()}
    return found, own.column(error)[0].as_py() if error in own.column_names else None


def _groups(files: Files, file: DataFile, rows: Sequence[int], columns: Sequence[str]) -> tuple[pa.Table, list[int]]:
    """The row groups with some rows, as a table, and where in it these are."""
    with read.opened(files, file) as opened:
        about = opened.metadata
        ends = np.cumsum([about.row_group(at).num_rows for at in range(about.num_row_groups)], dtype=np.int64)
        wanted = np.asarray(rows, np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= about.num_rows):
            raise IndexError(f"{file.path} has {about.num_rows} rows, wanted were {list(rows)}")
        group = np.searchsorted(ends, wanted, side="right")
        chosen = np.unique(group)
        there = set(opened.schema_arrow.names)
        names = [name for name in dict.fromkeys(columns) if name in there]
        table = opened.read_row_groups(chosen.tolist(), columns=names, use_threads=False)
    starts = np.concatenate([[0], ends])[:-1] if len(ends) else ends
    sizes = (ends - starts)[chosen]
    first = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
    places = first[np.searchsorted(chosen, group)] + wanted - starts[group]
    return table, [int(place) for place in places]

"""How many bytes the cells of a column have: from the files' own numbers, without reading media where that can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmdata.source.rows.arrow import ArrowStream
from mmdata.source.rows.form import Rows
from mmdata.source.rows.parquet import Parquet, told

Sizes = dict[str, int | None]  # by column
ELSEWHERE = -1  # the size of a cell that holds a path alone


def sizes(rows: Rows, columns: Sequence[str]) -> Iterator[Sizes]:
    """Row by row, the bytes of each column's cell: None for an empty one, `ELSEWHERE` for one that only names a file.

    Arrow files tell exactly. Of Parquet it is the mean of the row group, and only where cells are empty is the column
    read. Other tables do not tell: 0.
    """
    if isinstance(rows, Parquet):
        with told():
            for group in range(rows.file.num_row_groups):
                yield from _of_group(rows.file, group, columns)
    elif isinstance(rows, ArrowStream):
        with told():
            for batch in rows.batches:
                yield from _joined(columns, [lengths(batch.column(column)) for column in columns], batch.num_rows)


def _of_group(file: Any, group: int, columns: Sequence[str]) -> Iterator[Sizes]:
    metadata = file.metadata.row_group(group)
    n_rows = metadata.num_rows
    chunks = {
        chunk.path_in_schema: chunk for chunk in (metadata.column(index) for index in range(metadata.num_columns))
    }
    found: list[Sequence[int | None]] = []
    for column in columns:
        chunk = chunks.get(f"{column}.bytes") or chunks.get(column)
        statistics = chunk.statistics if chunk is not None else None
        if chunk is not None and statistics is not None and statistics.has_null_count and statistics.null_count == 0:
            found.append([chunk.total_uncompressed_size // max(1, n_rows)] * n_rows)
        else:
            batches = file.iter_batches(256, row_groups=[group], columns=[column], use_threads=False)
            found.append([size for batch in batches for size in lengths(batch.column(0))])
    yield from _joined(columns, found, n_rows)


def _joined(columns: Sequence[str], found: Sequence[Sequence[int | None]], n_rows: int) -> Iterator[Sizes]:
    for index in range(n_rows):
        yield {column: of[index] for column, of in zip(columns, found, strict=True)}


def lengths(array: Any) -> list[int | None]:
    """The bytes of each value of an Arrow array of text, of bytes, or of {bytes, path}."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(array.type):
        return pc.binary_length(array).to_pylist()  # type: ignore[no-any-return]
    found: list[int | None] = pc.binary_length(pc.struct_field(array, "bytes")).to_pylist()
    if None in found and array.type.get_field_index("path") >= 0:
        paths = pc.is_valid(pc.struct_field(array, "path")).to_pylist()
        found = [ELSEWHERE if size is None and path else size for size, path in zip(found, paths, strict=True)]
    return found

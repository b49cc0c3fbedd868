"""Arrow streams, as `datasets` saves them: mapped into memory, so that a cell costs its own bytes alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from mmdata.source.local import LocalPlace
from mmdata.source.place import Place
from mmdata.source.rows.form import Cell, NoTable, Row
from mmdata.source.rows.parquet import row_of, told, values_of


class ArrowStream:
    """A local file in Arrow's stream form."""

    def __init__(self, where: Place, path: str) -> None:
        self.where, self.path = where, path

    @cached_property
    def batches(self) -> list[Any]:
        """Its record batches, of which nothing is read before it is asked for."""
        import pyarrow as pa

        if not isinstance(self.where, LocalPlace):
            raise NoTable("a saved dataset is read from a local disk alone; save it as Parquet (to_parquet)")
        with told():
            return list(pa.ipc.open_stream(pa.memory_map(f"{self.where.root}/{self.path}")))

    @cached_property
    def schema(self) -> Any:
        import pyarrow as pa

        if self.batches:
            return self.batches[0].schema
        with told():
            return pa.ipc.open_stream(pa.memory_map(f"{self.where.root}/{self.path}")).schema  # type: ignore[attr-defined]

    @cached_property
    def starts(self) -> list[int]:
        """The first row of each batch, and the number of all."""
        return [0, *accumulate(batch.num_rows for batch in self.batches)]

    def columns(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def rows(self, columns: Collection[str] | None) -> Iterator[Row]:
        """Every row."""
        names = [name for name in self.columns() if columns is None or name in columns]
        number = 0
        with told():
            for batch in self.batches:
                values = [values_of(batch.column(name)) for name in names]
                for row in zip(*values, strict=True) if values else [()] * batch.num_rows:
                    yield row_of(number, names, row)
                    number += 1

    def cells(self, wanted: Sequence[Cell]) -> dict[Cell, object]:
        """The cells that there are."""
        found: dict[Cell, object] = {}
        with told():
            for row, column in wanted:
                if 0 <= row < self.starts[-1] and column in self.columns():
                    index = bisect_right(self.starts, row) - 1
                    cell = self.batches[index].column(column).slice(row - self.starts[index], 1)
                    found[row, column] = values_of(cell)[0]
        return found

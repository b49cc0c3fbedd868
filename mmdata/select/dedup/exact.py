"""Samples whose stored bytes are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mmdata.errors import ConfigError
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.rule import Asked, Rule

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Exact(Rule):
    """Samples of which a part, or all parts, have the same bytes in the store, by their digests (xxh3-64).

    Samples without the part, and those of shards that were stored before parts had digests, are like no other. Any
    other column of texts or numbers can be named, too: samples of the same value are duplicates then.

    Args:
        on: a part's name; "*" is all parts; or a column such as "meta.url".
    """

    name: ClassVar[str] = "exact"

    on: str = "*"

    @property
    def features(self) -> tuple[str, ...]:
        return ()

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        import pyarrow as pa

        chunks, rows = [], []
        for part in asked:
            column = self._column(part)
            at = np.flatnonzero(part.rows & np.asarray(column.is_valid().to_numpy()))
            chunks += column.take(pa.array(at)).cast(pa.string()).chunks
            rows.append(part.first + at)
        numbers = np.concatenate(rows)
        if not len(numbers):
            return
        codes = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode().indices
        clusters.join_equal(np.asarray(codes.to_numpy(zero_copy_only=False)), numbers)

    def _column(self, part: Asked) -> pa.ChunkedArray:
        digests = part.store.table([f"digests.{self.on}"]).column(0)
        if digests.null_count < len(digests) or self.on == "*":
            return digests
        found = part.store.table([self.on]).column(0)
        import pyarrow as pa

        if not (pa.types.is_primitive(found.type) or pa.types.is_string(found.type)):
            raise ConfigError("dedup", [f"on: {self.on!r} holds {found.type}, not one number or text a sample"])
        return found

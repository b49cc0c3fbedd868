"""Tables of a store's rows, and conditions over them in DuckDB's SQL, which reaches nothing but these rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import guess
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store import allowed, expressions, read
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.tables import is_scalar, length_columns
from mmdata.store.view import ShardView, StoreView

PLAIN = ("key", "label", "source", "parent", "meta")
DIGESTS = "digests."
# strings, quoted identifiers, and words with dots: what may be a column is looked up, all else stays as it is
_UNKNOWN = re.compile(r'Referenced (?:column|table) "([^"]+)" not found')
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\W\d]\w*(?:\.\w+)*""")


class Rows:
    """The columns of a picture's rows, each read when asked for.

    Args:
        files: the store's.
        view: the picture.
        features: family, column and spec of each feature.
        file_specs: the promises of a feature file.
        keep_bytes: what was read is kept for the next time, of all columns together so many bytes, for threads to ask.
    """

    def __init__(
        self,
        files: Files,
        view: StoreView,
        features: Sequence[tuple[str, str, ArraySpec]],
        file_specs: Callable[[DataFile], Mapping[str, ArraySpec]],
        *,
        keep_bytes: int = 0,
    ) -> None:
        self._files, self._view, self._file_specs = files, view, file_specs
        self._features = {column: (family, spec) for family, column, spec in features}
        self._lengths = {each: column for _, column, spec in features for each in length_columns(column, spec)}
        self._read: dict[tuple[str, str], pa.Table] = {}
        self._kept: dict[str, dict[str, pa.ChunkedArray]] = {}
        self._keep_bytes = keep_bytes
        self._lock = Lock()  # threads ask for what is kept

    def usual(self) -> list[str]:
        """What a table has when no columns are named."""
        return ["key", "label", "source", *(name for name, (_, spec) in self._features.items() if is_scalar(spec))]

    def families(self, columns: Sequence[str] | None, where: str | None) -> list[str]:
        """The feature families that a table of these columns and this condition reads."""
        named = [*(self.usual() if columns is None else columns), *self.named_in(where or "")]
        names = [self._lengths.get(name, name) for name in named]
        return sorted({self._features[name][0] for name in names if name in self._features})

    def named_in(self, where: str) -> list[str]:
        """The columns that a condition speaks of."""
        return sorted({name for token in _TOKEN.findall(where) if (name := self._column_of(token))})

    def _column_of(self, token: str) -> str | None:
        if token.startswith("'"):
            return None
        name = token[1:-1].replace('""', '"') if token.startswith('"') else token
        known = name in (*PLAIN, *self._features, *self._lengths) or name.startswith(("meta.", "text.", DIGESTS))
        return name if known else None

    def quoted(self, where: str) -> str:
        """The condition with its columns as quoted identifiers, so that dots are part of names."""
        return _TOKEN.sub(lambda found: self._quoted(found[0]), where)

    def _quoted(self, token: str) -> str:
        name = self._column_of(token)
        return token if name is None or token.startswith('"') else f'"{name}"'

    def column(self, name: str) -> dict[str, pa.ChunkedArray]:
        """A column by its name; beside an array whose axes vary, the columns of their lengths.

        Raises:
            StoreError: there is no such column.
        """
        if not self._keep_bytes:
            return self._column(name)
        with self._lock:
            return self._keeping(name)

    def _keeping(self, name: str) -> dict[str, pa.ChunkedArray]:
        found = self._kept.pop(name, None)
        if found is None:
            found = self._column(name)
            self._read.clear()
        self._kept[name] = found  # the newest is the last
        while len(self._kept) > 1 and self._n_kept() > self._keep_bytes:
            self._kept.pop(next(iter(self._kept)))
        return found

    def _n_kept(self) -> int:
        return sum(column.nbytes for columns in self._kept.values() for column in columns.values())

    def _column(self, name: str) -> dict[str, pa.ChunkedArray]:
        if name in self._features:
            return self._feature(name)
        if name in self._lengths:
            return {name: self._feature(self._lengths[name])[name]}
        if name == "source":
            each = [pa.array([shard.source] * shard.rows, pa.string()) for shard in self._view.shards]
            return {name: pa.chunked_array(each, pa.string())}
        if name in PLAIN:
            return {name: pa.chunked_array([c for t in self._samples(name) for c in t.column(0).chunks], pa.string())}
        if name.startswith("meta."):
            return {name: self._meta(name.removeprefix("meta."))}
        if name.startswith(DIGESTS):
            return {name: self._digests(name.removeprefix(DIGESTS))}
        return {name: self._text(name)}

    def _samples(self, column: str) -> Iterable[pa.Table]:
        for shard in self._view.shards:
            place = shard.samples.path, column
            if place not in self._read:
                self._read[place] = read.open_rows(self._files, shard.samples, [column])
            yield self._read[place]

    def _meta(self, name: str) -> pa.ChunkedArray:
        """One entry of the metadata: of its own type where all rows agree, as JSON where they don't."""
        values = [json.loads(meta).get(name) for rows in self._samples("meta") for meta in rows.column(0).to_pylist()]
        try:
            return pa.chunked_array([pa.array(values)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            texts = [None if value is None else json.dumps(value, sort_keys=True) for value in values]
            return pa.chunked_array([pa.array(texts, pa.string())])

    def _digests(self, part: str) -> pa.ChunkedArray:
        """The digests of a part's stored bytes; null where there is no such part, or the shard has none.

        "*" is those of all parts, as JSON.
        """
        found = []
        for shard in self._view.shards:
            try:
                rows = read.open_rows(self._files, shard.samples, ["digests"]).column(0).to_pylist()
            except SchemaMismatch:  # of before there were digests
                rows = [None] * shard.rows
            if part == "*":
                found += [json.dumps(dict(row), sort_keys=True) if row else None for row in rows]
            else:
                found += [dict(row or ()).get(part) for row in rows]
        return pa.chunked_array([pa.array(found, pa.string())])

    def _text(self, name: str) -> pa.ChunkedArray:
        part = name.removeprefix("text.")
        rows = [dict(texts) for table in self._samples("text") for texts in table.column(0).to_pylist()]
        if not any(part in texts for texts in rows):
            raise StoreError(
                f"no column {name!r} in {self._files.url!r}; there are {', '.join([*PLAIN, 'meta.NAME'])}, "
                f"text parts {sorted({part for texts in rows for part in texts})} and features {sorted(self._features)}"
            )
        return pa.chunked_array([pa.array([texts.get(part) for texts in rows], pa.string())])

    def by_shard(self, name: str) -> Iterator[dict[str, pa.ChunkedArray]]:
        """A feature's columns as `column` gives them, a shard at a time."""
        family, spec = self._features[name]
        for shard in self._view.shards:
            yield self._shard(shard, family, name, spec)

    def _feature(self, name: str) -> dict[str, pa.ChunkedArray]:
        family, spec = self._features[name]
        kinds = {name: read.empty_column(spec)} | {each: pa.int32() for each in length_columns(name, spec)}
        chunks: dict[str, list[pa.Array]] = {each: [] for each in kinds}
        for shard in self._view.shards:
            for each, column in self._shard(shard, family, name, spec).items():
                chunks[each] += column.chunks
        return {each: pa.chunked_array(found, kinds[each]) for each, found in chunks.items()}

    def _shard(self, shard: ShardView, family: str, name: str, spec: ArraySpec) -> dict[str, pa.ChunkedArray]:
        file = shard.features.get(family)
        names = read.needed(name, spec)
        if file is None:
            kinds = {each: pa.int32() for each in names} | {name: read.empty_column(spec)}
            return {each: pa.chunked_array([pa.nulls(shard.rows, kind)]) for each, kind in kinds.items()}
        own = self._file_specs(file).get(name)
        if own is None or (own.dims, own.shape, own.dtype) != (spec.dims, spec.shape, spec.dtype):
            raise SchemaMismatch(
                f"{name!r} is {own} in shard {shard.shard} and {spec} in others: it is being replaced; "
                "finish that run, or read it by `arrays`"
            )
        rows = read.open_rows(self._files, file, names)
        return {each: rows.column(each) for each in names} | {name: read.arrow_column(rows, name, spec)}


def query(rows: Rows, columns: Sequence[str] | None, where: str | None) -> pa.Table:
    """The columns of the rows for which the condition holds."""
    made: dict[str, pa.ChunkedArray] = {}
    for name in rows.usual() if columns is None else columns:
        made |= rows.column(name)
    table = pa.table(made)
    if where is None:
        return table
    samples = _spoken_of(rows, [where])
    found = _explained(lambda: expressions.run({}, samples, only=rows.quoted(where)), where, rows)
    return table.take(found.column(0))


def matching(rows: Rows, where: str, *, most_s: float) -> np.ndarray:
    """The rows for which a condition holds, by number: int64 [row].

    Args:
        rows: of a picture.
        where: as `query` takes it, and as a selection checks it; of what `allowed` has, as somebody else asks.
        most_s: seconds that it may take.

    Raises:
        StoreError: it is wrong, or takes longer.
    """
    quoted = rows.quoted(where)
    if told := expressions.faults(quoted) or allowed.faults(quoted):
        raise StoreError(f"where={where!r}: {'; '.join(told)}")
    samples = _spoken_of(rows, [where])
    found = _explained(lambda: expressions.run({}, samples, only=quoted, most_s=most_s), where, rows)
    return np.asarray(found.column(0).to_numpy(), np.int64)


def evaluate(rows: Rows, wanted: Mapping[str, str]) -> pa.Table:
    """The values of expressions on every row, by name; all are computed in one go.

    Raises:
        StoreError: no such column, or an expression is wrong; says which.
    """
    if not wanted:  # which needs no DuckDB
        return pa.table({})
    samples = _spoken_of(rows, list(wanted.values()))
    quoted = {name: rows.quoted(text) for name, text in wanted.items()}
    for name, text in wanted.items():
        if told := expressions.faults(quoted[name]):
            raise StoreError(f"{name}={text!r}: {'; '.join(told)}")
    for name, text in wanted.items():  # on one row, which says which is wrong
        _explained(partial(expressions.run, {name: quoted[name]}, samples.slice(0, 1)), text, rows, name)
    return _explained(lambda: expressions.run(quoted, samples), "; ".join(wanted.values()), rows, "one of").drop(
        [expressions.ROW]
    )


def _spoken_of(rows: Rows, texts: Sequence[str]) -> pa.Table:
    """The columns that expressions speak of, and the key."""
    spoken: dict[str, pa.ChunkedArray] = {"key": rows.column("key")["key"]}
    for name in dict.fromkeys(name for text in texts for name in rows.named_in(text)):
        spoken |= rows.column(name)
    return pa.table(spoken)


def _explained(work: Callable[[], pa.Table], text: str, rows: Rows, name: str = "where") -> pa.Table:
    import duckdb

    try:
        return work()
    except StoreError as error:
        raise StoreError(f"{name}={text!r}: {error}") from None
    except duckdb.Error as error:
        if unknown := _UNKNOWN.search(str(error)):
            column = next((each for each in _TOKEN.findall(text) if each.startswith(unknown[1])), unknown[1])
            raise StoreError(f"{name}={text!r}: no column {column!r}{guess(column, rows.usual())}") from None
        raise StoreError(f"{name}={text!r}: {error}") from error

"""Which format of table a file is."""

from __future__ import annotations

from mmdata.codec.sniff import HEAD_BYTES, UNKNOWN, extension, holds, media_type, modality
from mmdata.source.place import Place
from mmdata.source.rows.form import NoTable, Rows
from mmdata.source.rows.lines import Csv, JsonLines
from mmdata.source.rows.parquet import Parquet


def rows_of(where: Place, path: str) -> Rows:
    """The rows of a file, by what it holds.

    Raises:
        NoTable: it is no table.
        Unreadable: it can't be opened.
    """
    with where.open(path) as opened:
        head = opened.read(HEAD_BYTES)
    kind = media_type(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == "application/vnd.apache.parquet":
        return Parquet(where, path)
    if text.startswith(b"["):
        raise NoTable("it holds one JSON list; write an object a line (JSON Lines)")
    named = extension(path) if modality(kind) == "text" or kind == UNKNOWN else ""  # a stray byte makes no other file
    if text.startswith(b"{") or named in ("jsonl", "ndjson"):
        return JsonLines(where, path)
    if modality(kind) == "text" or named in ("csv", "tsv"):
        return Csv(where, path)
    raise NoTable(f"expected JSON Lines, CSV or Parquet; {holds(head, path)}")

"""What is written and said in parts whose rows hold no text: captions, and texts that no step decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mmdata.codec.captions import DecodeCaptions
from mmdata.codec.text import DecodeText
from mmdata.core.sample import Blob, Cue
from mmdata.errors import DataError
from mmdata.report.facts.parts import flattened, kind_shown

if TYPE_CHECKING:
    from mmdata.serve.catalog import Catalog

MOST_PARTS = 50_000  # that are searched: each is read once, the first time that words are looked for
MOST_BYTES = 4 << 20  # of one
MOST_ALL_BYTES = 256 << 20  # of all that are searched


def cues(blob: Blob) -> tuple[Cue, ...]:
    """The captions of a part; none where it can't be read."""
    if blob.size > MOST_BYTES:
        return ()
    try:
        return DecodeCaptions().map(blob).cues
    except DataError:
        return ()


def text(blob: Blob) -> str:
    """The text of a part; "" where it can't be read."""
    if blob.size > MOST_BYTES:
        return ""
    try:
        return DecodeText().map(blob).text
    except DataError:
        return ""


def is_searched(kind: str, extension: str) -> bool:
    """Whether a part of a row is read to be searched: captions, and text that the row itself does not hold."""
    shown = kind_shown(kind, extension)
    return shown == "captions" or (shown == "text" and kind != "text")


def texts(catalog: Catalog) -> pa.ChunkedArray:
    """All that such stored parts of each sample say, a row a sample; null where there are none."""
    parts = flattened(catalog.known.samples)
    kinds = parts.group_by(["kind", "extension"]).aggregate([]).to_pylist()
    wanted = [f"{each['kind']}.{each['extension']}" for each in kinds if is_searched(each["kind"], each["extension"])]
    named = pc.binary_join_element_wise(parts["kind"], parts["extension"], ".")
    parts = parts.filter(pc.and_(pc.is_in(named, pa.array(wanted, pa.string())), pc.is_valid(parts["offset"])))
    found: list[str | None] = [None] * len(catalog)
    names = ("row", "offset", "length", "kind", "extension")
    n_left = MOST_ALL_BYTES
    for row, offset, length, kind, extension in zip(
        *(parts[name].slice(0, MOST_PARTS).to_pylist() for name in names), strict=True
    ):
        media = catalog.known.place(row)[0].samples.media
        if media is not None and length <= min(MOST_BYTES, n_left):
            n_left -= length
            blob = _blob(catalog, media.path, offset, length)
            said = [cue.text for cue in cues(blob)] if kind_shown(kind, extension) == "captions" else [text(blob)]
            found[row] = " ".join([found[row] or "", *" ".join(said).split()]).strip()
    return pa.chunked_array([pa.array(found, pa.string())])


def _blob(catalog: Catalog, path: str, offset: int, length: int) -> Blob:
    try:
        return Blob.of(catalog.files.read_range(path, offset, length))
    except (DataError, OSError):  # damaged: what is left of the store is searched all the same
        return Blob.of(b"")


def clock(ms: int) -> str:
    """Milliseconds as players show them.

    >>> clock(3_723_400)
    '1:02:03.4'
    """
    seconds, tenths = divmod(ms // 100, 10)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{seconds:02}.{tenths}"

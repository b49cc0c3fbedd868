"""What is said when: captions with times, as text to be read and to be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mmdata.codec.captions import DecodeCaptions
from mmdata.core.sample import Blob, Cue
from mmdata.errors import DataError
from mmdata.report.facts.parts import flattened

if TYPE_CHECKING:
    from mmdata.serve.catalog import Catalog

MOST_PARTS = 50_000  # that are searched: each is read once, the first time that words are looked for
MOST_BYTES = 4 << 20  # of one


def cues(blob: Blob) -> tuple[Cue, ...]:
    """The captions of a part; none where it can't be read."""
    if blob.size > MOST_BYTES:
        return ()
    try:
        return DecodeCaptions().map(blob).cues
    except DataError:
        return ()


def texts(catalog: Catalog) -> pa.ChunkedArray:
    """All that is said in each sample's stored captions, a row a sample; null where there are none."""
    parts = flattened(catalog.known.samples)
    parts = parts.filter(pc.and_(pc.equal(parts["kind"], "captions"), pc.is_valid(parts["offset"])))
    found: list[str | None] = [None] * len(catalog)
    for row, offset, length in zip(
        *(parts[name].slice(0, MOST_PARTS).to_pylist() for name in ("row", "offset", "length")), strict=True
    ):
        media = catalog.known.place(row)[0].samples.media
        if media is not None and length <= MOST_BYTES:
            said = " ".join(" ".join(cue.text.split()) for cue in cues(_blob(catalog, media.path, offset, length)))
            found[row] = f"{found[row] or ''} {said}".strip()
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

"""Whether a store that lies at a place can be read: its log, and each file as far as its ends tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmdata.doctor.finding import FAULT, GOOD, Finding
from mmdata.errors import MMDataError
from mmdata.store.damage import mending
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, MARKER, REJECTS, SAMPLES
from mmdata.store.store import Store


def store(url: str, options: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Nothing where no store lies. Reads the log, sizes and footers; `verify` reads all."""
    try:
        if not Files.at(url, options).exists(MARKER):
            return
        opened = Store.open(url, storage_options=options)
        damaged, n = opened.damaged, len(opened)
    except (MMDataError, OSError) as error:
        yield Finding("store", FAULT, str(error), mending(url))
        return
    yield Finding("store", GOOD, f"samples: {n:,}, feature columns: {len(opened.families)}")
    for family, fault in damaged.items():
        what = family if family in (SAMPLES, DROPS, REJECTS) else f"feature {family}"
        yield Finding(what, FAULT, fault, mending(url))

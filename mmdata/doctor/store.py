"""Whether a store that lies at a place can be read: its log, and of each feature what it promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmdata.doctor.finding import FAULT, GOOD, Finding
from mmdata.errors import MMDataError
from mmdata.store.files import Files
from mmdata.store.layout import MARKER
from mmdata.store.store import Store


def store(url: str, options: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Nothing where no store lies. Reads the log and a file of each feature; `verify` reads all."""
    verify = f"mmdata verify {url} checks every file; with --drop-damaged, the next run makes these again"
    try:
        if not Files.at(url, options).exists(MARKER):
            return
        opened = Store.open(url, storage_options=options)
        damaged, n = opened.damaged, len(opened)
    except (MMDataError, OSError) as error:
        yield Finding("store", FAULT, str(error), verify)
        return
    yield Finding("store", GOOD, f"{n:,} samples, {len(opened.families)} feature columns")
    for family, fault in damaged.items():
        yield Finding(f"feature {family}", FAULT, fault, verify)

"""What features can't be understood without: vocabularies and tokenizers, kept beside them.

    fitted/FAMILY/FP/SETTING.SUFFIX

FP is the family's fingerprint, of which the digest of what the file holds is a part: a file is never replaced, and
another vocabulary of the same family stands beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mmdata.store.files import Files
from mmdata.store.layout import FITTED

log = logging.getLogger(__name__)

MAX_BYTES = 256 << 20


def keep(files: Files, family: str, fp: str, fitted: Mapping[str, str]) -> None:
    """Copy the files that a family's settings name into the store, where they are not there yet."""
    for setting, path in fitted.items():
        if os.path.getsize(path) > MAX_BYTES:
            log.warning(
                "family=%s %s %r is not kept in the store: it has over %d bytes", family, setting, path, MAX_BYTES
            )
            continue
        place = f"{FITTED}/{family}/{fp}/{setting}{Path(path).suffix}"
        if not files.exists(place):
            with suppress(FileExistsError):  # another run has just kept the same
                files.create(place, Path(path).read_bytes())


def kept(files: Files, family: str, fp: str) -> dict[str, bytes]:
    """What `keep` copied, by setting."""
    there = files.listing(f"{FITTED}/{family}/{fp}")
    return {listed.path.rpartition("/")[2].partition(".")[0]: files.read(listed.path) for listed in there}

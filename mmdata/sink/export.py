"""A store, or a selection of it, in the format of another tool."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmdata.core.ports import Source
from mmdata.core.storage import check_place
from mmdata.errors import ConfigError
from mmdata.sink.contents import Contents, contents_of
from mmdata.sink.destination import destination, lying_there
from mmdata.sink.files import Files
from mmdata.sink.form import Form, Written
from mmdata.sink.huggingface import HuggingFace
from mmdata.sink.parquet import Parquet
from mmdata.sink.references import References
from mmdata.sink.rows import FetchOf, batches
from mmdata.sink.webdataset import WebDataset
from mmdata.store.store import Store

log = logging.getLogger(__name__)

FORMS: Mapping[str, Callable[[Contents], Form]] = {
    "webdataset": WebDataset, "huggingface": HuggingFace, "parquet": Parquet, "files": Files,
}  # fmt: skip
SHARD_BYTES = 500_000_000
VERSION = 1  # of what all forms write: another one makes other exports
Watch = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export came to.

    Args:
        dest, format: as they were given.
        state: "done"; "there" where this very export lay there already; "planned" where it was only to be looked at.
        samples: how many. splits: by split, "" where there are none.
        columns: the parts and features that go out.
        n_files, n_bytes: of what holds samples; where it is planned, tars or tables, and a guess.
    """

    dest: str
    format: str
    state: str
    samples: int
    splits: Mapping[str, int] = field(default_factory=dict)
    columns: Sequence[str] = ()
    n_files: int = 0
    n_bytes: int = 0


def export(
    store: Store | str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    format: str,  # noqa: A002  what users call it
    selection: str | None = None,
    split: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    shard_bytes: int = SHARD_BYTES,
    incomplete: bool = False,
    source: Source | None = None,
    dry_run: bool = False,
    watch: Watch | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> Exported:
    """Write a store's samples for another tool: WebDataset, Hugging Face's `datasets`, Parquet, or plain files.

    Nothing is lost: stored bytes, arrays with their dtypes, texts, metadata, keys and splits can all be read back with
    the tool alone; docs/export.md says how. DEST is seen only when it is whole. What was interrupted is taken up by the
    same call, and ends in the same bytes. Dropped and rejected samples do not go out.

    Args:
        store: an open store (or a snapshot of one), or where it is.
        dest: a folder that is not there yet, or is empty; or a URL.
        format: "webdataset", "huggingface", "parquet" or "files".
        selection: only samples of that selection.
        split: only samples of these splits of it.
        columns: parts and features; None is all there are. Key, label and metadata always go out.
        shard_bytes: about how large a tar or table is to be.
        incomplete: whether features may lack for whole shards; they are missing there then.
        source: where parts are read that the store only points to.
        dry_run: only say what would be written.
        watch: told of samples done, and of all, after each file.
        storage_options: as `mmdata.open` takes them, for both places.

    Raises:
        ConfigError: a setting can't be, nothing is selected, or `dest` holds something else. Nothing was written.
        Incomplete: shards lack a feature. StoreError: another process is exporting there right now.
        Unreadable: a part's bytes can't be had.
    """
    url = os.fspath(dest)
    opened = Store.open(store, storage_options=storage_options) if isinstance(store, str | os.PathLike) else store
    options = {**opened.storage_options, **(storage_options or {})}
    _check(opened, url, format, shard_bytes, options)
    contents = contents_of(
        opened, selection=selection, split=split, columns=columns, shard_bytes=shard_bytes, incomplete=incomplete
    )
    form = FORMS[format](contents)
    if faults := form.faults(contents):
        raise ConfigError("export", faults)
    about = _about(contents, form, format)
    done = Exported(
        dest=url,
        format=format,
        state="planned",
        samples=sum(contents.splits.values()),
        splits=contents.splits,
        columns=[*contents.parts, *contents.features],
        n_files=len(contents.outputs),
        n_bytes=contents.n_bytes,
    )
    there = lying_there(url, about, options)
    if there is not None:
        return _with(done, "there", there)
    if dry_run:
        return done
    fetches = References(opened, source).of if source is not None else None
    return _with(done, "done", _write(form, contents, url, about, options, fetches, watch))


def _write(
    form: Form,
    contents: Contents,
    url: str,
    about: Mapping[str, object],
    options: Mapping[str, str],
    fetches: FetchOf | None,
    watch: Watch | None,
) -> Sequence[Written]:
    n_rows, n_done = sum(contents.splits.values()), 0
    with destination(url, about, options) as place:
        if place.is_done:
            stay: Sequence[Written] = list(place.complete.values())
            place.finish(stay)
            return stay
        for output in contents.outputs:
            if form.path(output) not in place.complete:
                place.add(form.write(output, batches(contents, output, fetches), place))
            n_done += output.n_rows
            if watch is not None:
                watch(n_done, n_rows)
        written = [place.complete[form.path(output)] for output in contents.outputs]
        stay = form.finish(written, place)
        place.finish(stay)
    log.info("export=%s place=%s samples=%d files=%d", type(form).__name__, url, n_rows, len(stay))
    return stay


def _with(done: Exported, state: str, written: Sequence[Written]) -> Exported:
    n_files, n_bytes = sum(each.n_files for each in written), sum(each.n_bytes for each in written)
    return Exported(**{**vars(done), "state": state, "n_files": n_files, "n_bytes": n_bytes})


def _about(contents: Contents, form: Form, name: str) -> dict[str, object]:
    """What the marker says: the same for the same export, and nothing of the machine."""
    return {
        "id": contents.fingerprint(name, VERSION),
        "format": name,
        "selection": contents.selection,
        "splits": contents.splits,
        "parts": {part: sorted(found.kinds) for part, found in contents.parts.items()},
        "features": {column: json.loads(spec.to_json()) for column, (_, spec) in contents.features.items()},
        "names": dict(form.names()),
    }


def _check(store: Store, url: str, name: str, shard_bytes: int, options: Mapping[str, str]) -> None:
    """Refuse settings that can't be, all at once."""
    faults = []
    if name not in FORMS:
        faults.append(f"format: expected {', '.join(FORMS)}, not {name!r}")
    if shard_bytes < 1:
        faults.append(f"shard_bytes: must be at least 1, not {shard_bytes}")
    if not url:
        faults.append("dest: names no place")
    if _is_within(url, store.url):
        faults.append(f"dest: {url} lies in the store: an export wants a folder of its own")
    if faults:
        raise ConfigError("export", faults)
    check_place(url, options)


def _is_within(url: str, store: str) -> bool:
    if "://" in url or "://" in store:
        return f"{url.rstrip('/')}/".startswith(f"{store.rstrip('/')}/")
    return os.path.commonpath([os.path.realpath(url), os.path.realpath(store)]) == os.path.realpath(store)

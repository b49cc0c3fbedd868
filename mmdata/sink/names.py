"""Names in exports: columns that never stand for two things, and file names that every disk takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mmdata.sink.contents import Contents
from mmdata.store.media import safe_key
from mmdata.store.tables import length_columns

# what every row says of itself
ABOUT = ("key", "path", "source", "parent", "split", "weight", "label", "meta", "parts", "errors")
MORE = ("texts", "features", "arrays")  # and in a manifest, these
COMPONENT_BYTES, PATH_BYTES = 120, 700  # disks take 255 and systems 1,024 or more; folder and suffix want room
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)  # names that Windows keeps for itself


@dataclass(frozen=True)
class Columns:
    """What columns are called: of parts, of texts' own bytes, and of features."""

    parts: Mapping[str, str]
    raw: Mapping[str, str]
    features: Mapping[str, str]

    def told(self) -> dict[str, str]:
        """Parts and features by their column."""
        named = (*self.parts.items(), *self.features.items())
        own = {column: f"{name} as bytes" for name, column in self.raw.items()}
        return {column: name for name, column in named} | own


def columns_of(contents: Contents) -> Columns:
    """A part's column is called like it, and a feature's too; a name that is taken gets `part.` or `feature.` before.

    Names that differ in case alone count as one. Texts that may have been stored as other bytes than their UTF-8 have a
    column NAME.bytes.
    """
    taken = {*ABOUT, *MORE}
    for column, (_, spec) in contents.features.items():
        taken.update(name.lower() for name in length_columns(column, spec))
    parts = {name: _free(name, "part", taken) for name in contents.parts}
    features = {name: _free(name, "feature", taken) for name in contents.features}
    own = [name for name, form in contents.parts.items() if form.is_text and form.encodings != {"encoded"}]
    return Columns(parts, {name: _free(f"{name}.bytes", "part", taken) for name in own}, features)


def _free(name: str, kind: str, taken: set[str]) -> str:
    while name.lower() in taken:  # engines of SQL take names in any case for the same
        name = f"{kind}.{name}"
    taken.add(name.lower())
    return name


def below(key: str, source: str) -> str:
    """A key without its source's name: what a source of that name puts it before again.

    >>> below("photos/a/b", "photos"), below("other", "photos")
    ('a/b', 'other')
    """
    return key.removeprefix(f"{source}/") or key


def file_stem(key: str) -> str:
    """A key as a path below a folder: never out of it, never hidden, of a length that disks take.

    What a file name can't hold everywhere is percent-encoded; what is too long is cut, and a digest tells it apart.

    >>> file_stem("photos/a.b/-c"), file_stem("../x"), file_stem("con/é ")
    ('photos/a%2Eb/%2Dc', '%2E%2E/x', '%63on/é%20')
    """
    name = "/".join(_component(part) for part in safe_key(key).split("/"))
    return name if len(name.encode()) <= PATH_BYTES else f"%long/{_digest(key)}"


def _component(part: str) -> str:
    if part[:1] in ("-", " ", "~", "#") or _RESERVED.match(part):
        part = f"%{ord(part[0]):02X}{part[1:]}"
    if part.endswith(" "):
        part = f"{part[:-1]}%20"
    if len(part.encode()) <= COMPONENT_BYTES:
        return part
    return part.encode()[: COMPONENT_BYTES - 34].decode(errors="ignore") + "%~" + _digest(part)  # no code of a letter


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def feature_suffixes(contents: Contents) -> dict[str, str]:
    """NAME.npy for each feature that is an array: distinct from each other and from parts in lower case, too."""
    used = {f"{name}.{extension}".lower() for name, form in contents.parts.items() for extension in form.extensions}
    found = {}
    for name, (_, spec) in contents.features.items():
        if spec.dims:
            suffix = f"{name}.npy"
            if suffix.lower() in used:
                suffix = re.sub("[A-Z]", lambda letter: f"%{ord(letter[0]):02X}", suffix)
            while suffix.lower() in used:
                suffix = f"feature.{suffix}"
            used.add(suffix.lower())
            found[name] = suffix
    return found

"""Which files belong together: those that share folder and stem, or what a pattern a part says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mmdata.codec.sniff import extension, modality_of_name
from mmdata.source.listing import Found
from mmdata.source.names import key_text

STEM = "{stem}"
Patterns = Mapping[str, str | tuple[str, ...]]

# files about a folder: in a folder of media they are no texts to learn from
_ABOUT = frozenset(("readme", "license", "licence", "copying", "changelog", "authors", "notice", "credits"))


@dataclass
class Group:
    """Files of one sample: by part, the files that claim it; and the metadata beside them."""

    parts: dict[str, list[Found]] = field(default_factory=dict)
    sidecars: list[Found] = field(default_factory=list)


@dataclass(frozen=True)
class Paired:
    """Groups by stem, which is the key without the source's name, and the files that are in none."""

    groups: dict[str, Group]
    unmatched: list[Found]


def by_stem(files: Iterable[Found], *, sidecar: bool) -> Paired:
    """Group files by folder and stem; the part is the modality that the extension names."""
    paired = Paired({}, [])
    aside: list[tuple[str, Found]] = []
    for file in files:
        kind = extension(file.path)
        stem = key_text(file.path[: len(file.path) - len(kind) - 1]) if kind else ""
        part = modality_of_name(file.path)
        if sidecar and kind == "json":
            aside.append((stem, file))
        elif part is None or stem.rpartition("/")[2].lower() in _ABOUT:
            paired.unmatched.append(file)
        else:
            paired.groups.setdefault(stem, Group()).parts.setdefault(part, []).append(file)
    for stem, file in aside:
        if stem in paired.groups:
            paired.groups[stem].sidecars.append(file)
        else:
            paired.unmatched.append(file)
    return paired


def by_patterns(files: Iterable[Found], patterns: Patterns, *, sidecar: bool) -> Paired:
    """Group files by the stem at which a part's pattern fits them.

    The first part decides which samples there are; the others join those. A file that fits several patterns goes to
    the most specific one (that with most letters) whose sample exists: a.b_fr.ogg to `{stem}_fr.ogg` before
    `{stem}.ogg`.
    """
    first = next(iter(patterns))
    ranked = _ranked(patterns)
    fits = [(file, list(_fits(key_text(file.path), ranked))) for file in files]
    anchors = {stem for _, found in fits for part, stem in found if part == first}
    paired = Paired({stem: Group() for stem in sorted(anchors)}, [])
    for file, found in fits:
        part, stem = next(((part, stem) for part, stem in found if stem in anchors), ("", ""))
        if part:
            paired.groups[stem].parts.setdefault(part, []).append(file)
        else:
            paired.unmatched.append(file)
    for stem in [stem for stem, group in paired.groups.items() if first not in group.parts]:
        paired.unmatched.extend(file for files in paired.groups.pop(stem).parts.values() for file in files)
    return _with_sidecars(paired, first) if sidecar else paired


def _with_sidecars(paired: Paired, first: str) -> Paired:
    """Give each sample the STEM.json at its stem, or beside its first part's file."""
    places: dict[str, Group] = {}
    for stem, group in paired.groups.items():
        path = key_text(group.parts[first][0].path)
        for where in (stem, path[: len(path) - len(extension(path)) - 1]):
            places[f"{where}.json"] = group
    unmatched = []
    for file in paired.unmatched:
        path = key_text(file.path)
        stem, dot, kind = path.rpartition(".")
        group_of = places.get(f"{stem}{dot}{kind.lower()}")
        if group_of is None:
            unmatched.append(file)
        else:
            group_of.sidecars.append(file)
    return Paired(paired.groups, unmatched)


def _ranked(patterns: Patterns) -> list[tuple[str, re.Pattern[str]]]:
    each = [(part, text) for part, texts in patterns.items() for text in alternatives(texts)]
    return [(part, compiled(text)) for part, text in sorted(each, key=lambda item: -len(item[1].replace("*", "")))]


def alternatives(texts: str | tuple[str, ...]) -> tuple[str, ...]:
    """A part's patterns: one, or several of which any will do."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def compiled(pattern: str) -> re.Pattern[str]:
    """What a pattern fits: `{stem}` is a file's stem in any folder below the one that the pattern names.

    The extension fits in any case, as it does where files are paired by stem; all else is exact.

    >>> match = compiled("pictures/img_{stem}.png").fullmatch("pictures/birds/img_1.PNG")
    >>> match["folder"] + match["name"]
    'birds/1'
    """
    head, _, tail = key_text(pattern).partition(STEM)
    folder, slash, prefix = head.rpartition("/")
    _, dot, kind = tail.rpartition(".")
    kind = kind if dot and "/" not in kind else ""
    last = f"{_literal(tail.removesuffix(kind))}(?i:{_literal(kind)})"
    text = f"{_literal(folder + slash)}(?P<folder>(?:.*/)?){_literal(prefix)}(?P<name>[^/]+){last}"
    return re.compile(text, re.DOTALL)


def _literal(text: str) -> str:
    return "[^/]*".join(re.escape(piece) for piece in text.split("*"))


def _fits(path: str, ranked: Iterable[tuple[str, re.Pattern[str]]]) -> Iterator[tuple[str, str]]:
    for part, pattern in ranked:
        if match := pattern.fullmatch(path):
            yield part, match["folder"] + match["name"]

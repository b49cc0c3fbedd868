"""How English words sound: the pronouncing dictionary of the package `pocketsphinx`, and rules for what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, product

from mmdata.kernels.align.sphinx import folder
from mmdata.kernels.align.spoken import is_foreign, readings

Phones = tuple[str, ...]
MOST_WAYS = 4  # of pronouncing one reading of a token
SHORTEST_PART = 3  # letters of a word within a compound
HISSING, VOICELESS = {"S", "Z", "SH", "ZH", "CH", "JH"}, {"P", "T", "K", "F", "TH"}
# Letters as they mostly sound: crude, but where words begin and end hangs little on it. Longest first.
RULES: tuple[tuple[str, str], ...] = tuple(
    (letters, sound)
    for line in (
        "tion:SH AH N|sion:ZH AH N|ture:CH ER|ough:AO|augh:AO|eigh:EY|tch:CH|dge:JH|igh:AY|sch:S K|que:K|eau:OW",
        "ing:IH NG|air:EH R|ear:IH R|our:AO R|oor:AO R|ch:CH|sh:SH|th:TH|ph:F|wh:W|gh:G|ck:K|ng:NG|qu:K W|kn:N|wr:R",
        "ai:EY|ay:EY|ea:IY|ee:IY|ei:EY|ey:IY|eu:UW|ew:UW|ie:IY|oa:OW|oe:OW|oi:OY|oo:UW|ou:AW|ow:OW|oy:OY|au:AO|aw:AO",
        "ue:UW|ui:UW|ar:AA R|er:ER|ir:ER|or:AO R|ur:ER|bb:B|cc:K|dd:D|ff:F|gg:G|ll:L|mm:M|nn:N|pp:P|rr:R|ss:S|tt:T",
        "zz:Z|ce:S|ci:S IH|cy:S IY|ge:JH|a:AE|b:B|c:K|d:D|e:EH|f:F|g:G|h:HH|i:IH|j:JH|k:K|l:L|m:M|n:N|o:AA|p:P|q:K|r:R",
        "s:S|t:T|u:AH|v:V|w:W|x:K S|y:IY|z:Z",
    )
    for letters, sound in (rule.split(":") for rule in line.split("|"))
)
HEADS = {"un": "AH N", "re": "R IY", "non": "N AA N", "pre": "P R IY", "mis": "M IH S", "multi": "M AH L T IY"}
BY_LETTERS = dict(RULES)
LONGEST_RULE = max(map(len, BY_LETTERS))
NAMES = {"w": ("D AH B AH L Y UW",), "a": ("EY",)}  # of letters that the dictionary has as words too, or not at all


@lru_cache(maxsize=1)
def dictionary() -> Mapping[str, tuple[Phones, ...]]:
    """Pronunciations by word in small letters: 126,000 of them, read once a process.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found: dict[str, tuple[Phones, ...]] = {}
    for line in (folder() / "cmudict-en-us.dict").read_text("utf-8").splitlines():
        word, *phones = line.split()
        name = word.split("(")[0]
        found[name] = (*found.get(name, ()), tuple(phones))
    return found


def pronunciations(token: str) -> list[Phones]:
    """The ways in which a written token is said; none where it has nothing that is read in English.

    >>> pronunciations("Привет")
    []
    """
    ways: dict[Phones, None] = {}
    if is_foreign(token):
        return []
    for reading in readings(token):
        for parts in islice(product(*(word_ways(word)[:4] for word in reading)), MOST_WAYS):
            ways[tuple(phone for part in parts for phone in part)] = None
    return [way for way in ways if way]


def word_ways(word: str) -> Sequence[Phones]:
    """The pronunciations of a word; of one in capitals, also letter by letter."""
    known, small = dictionary(), word.lower()
    ways = known.get(small, ())
    if word.isupper() and len(word) > 1:
        spelled = tuple(phone for letter in small for phone in _letter(letter))
        return (spelled, *ways) if not any(char in "aeiouy" for char in small) else (*ways, spelled)
    if not ways and small.endswith("'s") and len(small) > 2:
        return [(*way, *_ending("s", way[-1])) for way in word_ways(small[:-2]) if way]
    return ways or _derived(small) or (_by_rule(small),)


def _letter(letter: str) -> Phones:
    if letter in NAMES:
        return tuple(NAMES[letter][0].split())
    return dictionary().get(f"{letter}.", dictionary().get(letter, ((),)))[0]


def _derived(word: str) -> tuple[Phones, ...]:
    """A known word with an ending, or two known words."""
    for stem, ending in _stems(word):
        if stem in dictionary():
            return tuple((*way, *_ending(ending, way[-1])) for way in dictionary()[stem])
    for head, sound in HEADS.items():
        if word.startswith(head) and (rest := dictionary().get(word[len(head) :])):
            return tuple((*sound.split(), *way) for way in rest)
    for at in range(len(word) - SHORTEST_PART, SHORTEST_PART - 1, -1):
        first, second = dictionary().get(word[:at]), dictionary().get(word[at:])
        if first and second:
            return tuple((*one, *other) for one in first[:2] for other in second[:2])
    return ()


def _stems(word: str) -> Iterator[tuple[str, str]]:
    if len(word) > SHORTEST_PART:
        for tail, ending in (("s", "s"), ("ed", "d"), ("ing", "ing"), ("ly", "ly"), ("er", "er")):
            if word.endswith(tail):
                yield word[: -len(tail)], ending
                yield f"{word[: -len(tail)]}e", ending


def _ending(ending: str, last: str) -> Phones:
    if ending == "s":
        return ("IH", "Z") if last in HISSING else ("S",) if last in VOICELESS else ("Z",)
    if ending == "d":
        return (
            ("IH", "D") if last in ("T", "D") else ("T",) if last in VOICELESS | HISSING - {"Z", "ZH", "JH"} else ("D",)
        )
    return {"ing": ("IH", "NG"), "ly": ("L", "IY"), "er": ("ER",)}[ending]


def _by_rule(word: str) -> Phones:
    """Letters to sounds, the longest rule first; an e at the end is mute."""
    letters = "".join(char for char in word if "a" <= char <= "z")
    said = letters[:-1] if len(letters) > SHORTEST_PART and letters.endswith("e") else letters
    phones: list[str] = []
    at = 0
    while at < len(said):
        size = next((size for size in range(LONGEST_RULE, 0, -1) if said[at : at + size] in BY_LETTERS), 1)
        phones += BY_LETTERS.get(said[at : at + size], "").split()
        at += size
    return tuple(phones)

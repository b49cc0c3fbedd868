"""English tokens: words, numbers and punctuation marks, cut as spaCy's rules do, at the speed of a dictionary.

The quality rules of FineWeb and its like were tuned on these tokens. What a stretch between blanks is cut into depends
on that stretch alone, so each is cut once and then looked up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, product

import numpy as np

MOST_KEPT = 1 << 17  # stretches, and tokens, whose cuts and marks are remembered: some 30 MB
LONGEST_KEPT = 64  # characters of a stretch that is remembered
LONGEST_CUT = 2000  # characters of a stretch that rules are tried on; a longer one is no writing, and cut at every mark
LARGEST_KEPT = 1 << 20  # characters of a text whose tokens are kept for the step that comes next

SYMBOL, ALPHA = 1, 2


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a text, in order; what is asked of them is computed once."""

    words: list[str]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Characters of each: int64 [token]."""
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    @cached_property
    def codes(self) -> np.ndarray:
        """A number for each, equal for equal tokens within this process: uint64 [token]."""
        return np.fromiter(map(hash, self.words), np.int64, len(self.words)).view(np.uint64)

    @cached_property
    def marks(self) -> np.ndarray:
        """Bits of each, uint8 [token]: SYMBOL, no character but punctuation; ALPHA, some letter."""
        return np.fromiter(map(_MARKS.__getitem__, self.words), np.uint8, len(self.words))


def tokenize(text: str) -> Tokens:
    """The English tokens of a text; blanks are none.

    The rules are those of spaCy's English tokenizer (Honnibal et al. 2020; `lang/punctuation.py`): marks come off
    both ends, contractions fall in two, hyphens and slashes between letters stand alone, abbreviations keep their
    stops. Of its special cases the contractions, abbreviations and smileys that occur are here.

    The last texts' tokens are kept, as one rule after another asks for them.

    >>> tokenize("Don't panic (e.g. at 5 p.m.), it's state-of-the-art.").words[:8]
    ['Do', "n't", 'panic', '(', 'e.g.', 'at', '5', 'p.m.']
    """
    return _tokens(text) if len(text) <= LARGEST_KEPT else _tokenized(text)


def count_sentences(text: str) -> int:
    """How many sentences a text has: one ends where a stop, and what punctuation follows, is followed by more.

    The rule of spaCy's sentencizer, for scripts whose stops are one character. More than one blank counts as what
    follows, too.

    >>> count_sentences('He said: "Stop." Nobody did! Why?')
    3
    """
    n_sentences, seen_stop = 0, False
    for stretch in STRETCH.findall(text):
        for word in (" ",) if stretch.isspace() else _CUTS[stretch]:
            n_sentences = n_sentences or 1
            if word in STOPS:
                seen_stop = True
            elif seen_stop and not _is_punctuation(word):
                n_sentences, seen_stop = n_sentences + 1, False
    return n_sentences


def _tokenized(text: str) -> Tokens:
    try:
        return Tokens(list(chain.from_iterable(map(_CUTS.__getitem__, text.split()))))
    finally:
        for kept in (_CUTS, _MARKS):
            if len(kept) > MOST_KEPT:
                kept.clear()


_tokens = lru_cache(maxsize=2)(_tokenized)

# Unicode's property Sentence_Terminal, as of Unicode 16 with three Khmer signs that had it before.
_TERMINAL = (
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 "
    "17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b4e-1b4f 1b5a-1b5b 1b5e-1b5f 1b7d-1b7f 1c3b-1c3c 1c7e-1c7f 2024 "
    "203c-203d 2047-2049 2cf9-2cfb 2e2e 2e3c 2e53-2e54 2e60-2e61 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf "
    "a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe12 fe15-fe16 fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 "
    "10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 "
    "1123b-1123c 112a9 113d4-113d5 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 "
    "11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16d6e-16d6f "
    "16e98 1bc9f 1da88"
)


def _characters(ranges: str) -> frozenset[str]:
    """The characters of code points and ranges of them, in hexadecimal."""
    bounds = [part.partition("-") for part in ranges.split()]
    return frozenset(chr(code) for low, _, high in bounds for code in range(int(low, 16), int(high or low, 16) + 1))


STOPS = _characters(_TERMINAL)

# The signs that datatrove's `PUNCTUATION` counts as symbols, and controls.
SYMBOLS = frozenset("!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»").union(
    map(chr, chain(range(9), range(11, 32), range(127, 160)))
)

QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪" + QUOTES
CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼"
UNITS = (
    "km²?³?|m²?³?|dm²?³?|cm²?³?|mm²?³?|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h|kmh|mph|hPa|Pa|mbar|mb|MB|kb|KB|"
    "gb|GB|tb|TB|T|G|M|K|%"
)


def _letters(kind: str) -> str:
    """Letters up to Cyrillic, Armenian and Greek Extended that are lower case, or upper, for a class of characters."""
    codes = chain(range(0x530), range(0x1E00, 0x2000))
    return "".join(chr(code) for code in codes if unicodedata.category(chr(code)) == kind)


LOWER, UPPER = _letters("Ll"), _letters("Lu")
LETTER = r"[^\W\d_]"
ICON = "[\u00a6\u00a9\u00ae\u00b0\u0482\u2100-\u214f\u2190-\u23ff\u2500-\u27bf\u2900-\u2bff\U0001f000-\U0001faff]"
_ENDS = re.escape(PUNCTUATION)
PREFIX = re.compile(rf"§|%|=|—|–|\+(?![0-9])|\.\.+|US\$|C\$|A\$|[{_ENDS}{re.escape(CURRENCY)}]|{ICON}")
SUFFIX = re.compile(
    rf"(?:\.\.+|['’][sS]|—|–|(?<=[0-9])\+|(?<=°[FfCcKk])\.|(?<=[0-9])[{re.escape(CURRENCY)}]|(?<=[0-9])(?:{UNITS})"
    rf"|(?<=[0-9{LOWER}%²\-\+|{_ENDS}])\.|(?<=[{UPPER}][{UPPER}])\.|[{_ENDS}]|{ICON})\Z"
)
INFIX = re.compile(
    rf"\.\.+|…|{ICON}|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[{LOWER}{re.escape(QUOTES)}])\.(?=[{UPPER}{re.escape(QUOTES)}])"
    rf"|(?<={LETTER}),(?={LETTER})|(?<=[^\W_])(?:--+|[-–—~]|——+)(?={LETTER})|(?<=[^\W_])[:<>=/](?={LETTER})"
)
URL = re.compile(
    r"(?:[\w+\-.]{2,}://)?(?:[^\s@]+@)?(?:[1-9]\d{0,2}(?:\.\d{1,3}){3}|(?:[A-Za-z0-9\u00a1-\uffff][\w\u00a1-\uffff-]{0,62}\.)+"
    r"[a-z\u00e0-\uffff]{2,63})(?::\d{2,5})?(?:[/?#]\S*)?(?<=[\w/])\Z"
)

SMILEYS = (
    ":) :-) :)) :-)) (: (-: =) (= :] :-] [: [-: :} :-} 8) 8-) ;) ;-) (; (-; :( :-( :(( ): )-: =( >:( :') :'-) :'( :'-( "
    ":/ :-/ =/ =| :| :-| :* :-* :> :-> <3 </3 ^_^ -_- ._. >.< <.<"
)
STOPPED = (
    "Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. "
    "Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. "
    "Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. Adm. Bros. Co. Corp. D.C. Dr. E.G. E.g. Gen. Gov. I.E. I.e. Inc. "
    "Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. P.M. Ph.D. Prof. Rep. Rev. Sen. St. a.m. e.g. i.e. p.m. v. v.s. vs. "
    "and/or w/o C++ 're 'cause 'Cause 'cos 'bout 'em 'll 'nuff ma'am Ma'am o'clock O'clock doin' goin' nothin' "
    "somethin' ol' ''"
)


def _specials() -> dict[str, tuple[str, ...]]:
    """Stretches that no rule of marks cuts right."""
    whole = [*SMILEYS.split(), *STOPPED.split(), *(f"{chr(code)}." for code in range(ord("a"), ord("z") + 1))]
    found: dict[str, tuple[str, ...]] = {stretch: (stretch,) for stretch in whole}
    people = ("i", "you", "he", "she", "it", "we", "they")
    askers = ("who", "what", "when", "where", "why", "how", "there", "that")
    tails = [(people, ("'ll", "'d")), (("i", "you", "we", "they"), ("'ve",)), (("you", "we", "they"), ("'re",))]
    tails += [(("i",), ("'m",)), (("he", "she", "it"), ("'s",)), (askers, ("'s", "'ll", "'d", "'re", "'ve"))]
    tails += [(("could", "might", "must", "should", "would"), ("'ve",)), (("let",), ("'s",))]
    verbs = "ca could do does did had may might must need ought sha should wo would ai are is was were have has dare"
    heads = [*chain.from_iterable(product(first, last) for first, last in tails), *product(verbs.split(), ("n't",))]
    for first, last in heads:
        for head in (first, first.title()):
            found[head + last] = (head, last)
            found[head + last.replace("'", "’")] = (head, last.replace("'", "’"))
            bare = head + last.replace("'", "")
            if bare.lower() not in NO_CONTRACTIONS:
                found[bare] = (head, last.replace("'", ""))
    for first, last in (("can", "not"), ("gon", "na"), ("got", "ta")):
        found[first + last], found[first.title() + last] = (first, last), (first.title(), last)
    for hour, half in product(range(1, 13), ("am", "pm", "a.m.", "p.m.")):
        found[f"{hour}{half}"] = (str(hour), half)
    return found


STRETCH = re.compile(r"\S+|(?<=\s)\s|[^\S ]")  # a blank alone parts words and is none itself
PIECE = re.compile(r"\w+|[^\w\s]")
NO_CONTRACTIONS = {"ill", "its", "hell", "shell", "shed", "were", "well", "lets", "whore"}
SPECIALS = _specials()
MERGED = {stretch for stretch in (*SMILEYS.split(), *SPECIALS) if not stretch.isalnum() and len(SPECIALS[stretch]) == 1}
LONGEST_MERGED = 4  # tokens: ":'-("
LONGEST_SPECIAL = max(map(len, SPECIALS))
LONGEST_SUFFIX = 8


def _cut(stretch: str) -> tuple[str, ...]:
    """The tokens of what stands between two blanks."""
    if stretch in SPECIALS:
        return SPECIALS[stretch]
    if stretch.isalpha():
        return (stretch,)
    if len(stretch) > LONGEST_CUT:
        return tuple(PIECE.findall(stretch))
    word, mark = stretch[:-1], stretch[-1]
    if mark in ",;:!?)" and word.isalpha():  # most of what is left
        return (*SPECIALS.get(word, (word,)), mark)
    before, after, start, end = [], [], 0, len(stretch)
    while start < end:
        if end - start <= LONGEST_SPECIAL and stretch[start:end] in SPECIALS:
            break
        first = PREFIX.match(stretch, start, end)
        if first is not None:
            before.append(first[0])
            start = first.end()
            if end - start <= LONGEST_SPECIAL and stretch[start:end] in SPECIALS:
                break
        last = _suffix_start(stretch, start, end)
        if last < end:
            after.append(stretch[last:end])
            end = last
        elif first is None:
            break
    return _merged([*before, *_middle(stretch[start:end]), *reversed(after)])


def _merged(tokens: list[str]) -> tuple[str, ...]:
    """Put together again what makes a smiley or an abbreviation: "(n.)" has the token "n."."""
    found, place = [], 0
    while place < len(tokens):
        for size in range(min(LONGEST_MERGED, len(tokens) - place), 0, -1):
            joined = tokens[place] if size == 1 else "".join(tokens[place : place + size])
            if size == 1 or joined in MERGED:
                found.append(joined)
                place += size
                break
    return tuple(found)


def _suffix_start(stretch: str, start: int, end: int) -> int:
    """Where the mark at the end begins; `end` when there is none."""
    if end - start > 1 and stretch[end - 1] == stretch[end - 2] == ".":
        while end > start and stretch[end - 1] == ".":
            end -= 1
        return end
    found = SUFFIX.search(stretch, max(start, end - LONGEST_SUFFIX), end) if start < end else None
    return end if found is None else found.start()


def _middle(core: str) -> Iterator[str]:
    """What is left when the marks are off both ends, cut at signs between letters; addresses of the web stay whole."""
    if core in SPECIALS:
        yield from SPECIALS[core]
    elif core.isalnum() or ("." in core and URL.match(core)):
        yield core
    else:
        start = 0
        for sign in INFIX.finditer(core):
            if sign.start() > start:
                yield core[start : sign.start()]
                yield sign[0]
                start = sign.end()
        if start < len(core):
            yield core[start:]


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(char)[0] == "P" for char in word)


class _Cuts(dict[str, tuple[str, ...]]):
    """Stretches that were met before, with their tokens."""

    def __missing__(self, stretch: str) -> tuple[str, ...]:
        tokens = _cut(stretch)
        if len(stretch) <= LONGEST_KEPT:
            self[stretch] = tokens
        return tokens


class _Marks(dict[str, int]):
    """Tokens that were met before, with the bits of `Tokens.marks`."""

    def __missing__(self, word: str) -> int:
        marks = SYMBOL * SYMBOLS.issuperset(word) | ALPHA * any(map(str.isalpha, word))
        if len(word) <= LONGEST_KEPT:
            self[word] = marks
        return marks


_CUTS, _MARKS = _Cuts(), _Marks()

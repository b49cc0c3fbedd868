"""What is said for what is written: tokens of a transcript, and the English words that each may be read as."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from mmdata.kernels.align.numbers import Ways, number_ways

UNSPOKEN = re.compile(r"\[[^\]\n]*\]|<[^>\n]*>|\{[^}\n]*\}")  # stage directions, markup
ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "dr": ("doctor", "drive"), "mr": ("mister",), "mrs": ("missus",), "ms": ("miz",), "st": ("saint", "street"),
    "prof": ("professor",), "jr": ("junior",), "sr": ("senior",), "vs": ("versus",), "etc": ("et cetera",),
    "no": ("number", "no"), "ave": ("avenue",), "rd": ("road",), "blvd": ("boulevard",), "dept": ("department",),
    "gen": ("general",), "col": ("colonel",), "capt": ("captain",), "lt": ("lieutenant",), "sgt": ("sergeant",),
    "rev": ("reverend",), "hon": ("honorable",), "gov": ("governor",), "inc": ("incorporated", "inc"),
    "co": ("company",), "corp": ("corporation",), "ltd": ("limited",), "ft": ("feet", "fort"),
    "approx": ("approximately",),
    "jan": ("january",), "feb": ("february",), "mar": ("march",), "apr": ("april",), "aug": ("august",),
    "sept": ("september",), "sep": ("september",), "oct": ("october",), "nov": ("november",), "dec": ("december",),
    "min": ("minutes", "minimum"), "max": ("maximum",), "ext": ("extension",), "tel": ("telephone",),
    "e.g": ("for example", "e g"), "i.e": ("that is", "i e"),
}  # fmt: skip
ALWAYS = {"mr", "mrs", "ms", "dr", "vs", "etc", "prof", "sgt", "blvd", "dept", "e.g", "i.e"}  # also without the dot
SIGNS = {
    "&": ("and",), "+": ("plus",), "@": ("at",), "%": ("percent",), "=": ("equals",), "#": ("pound", "hash", "number"),
    "*": ("star", "asterisk"), "°": ("degrees",), "/": ("slash",), "$": ("dollars",), "£": ("pounds",), "€": ("euros",),
}  # fmt: skip
PLAIN = str.maketrans(
    {"’": "'", "ʼ": "'", "‘": "'", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "ø": "o", "Ø": "O", "ł": "l", "đ": "d"}
)
PIECES = re.compile(
    r"[a-z]+(?:'[a-z]+)*|[$£€¥]?(?:(?<![a-z0-9])[-−+])?[0-9][0-9,]*(?::[0-9]{2})?(?:\.[0-9]+)?(?:%|(?:st|nd|rd|th|s)\b)?|[&+@%=#*°/$£€]",
    re.IGNORECASE,
)
MOST_WAYS = 8  # of reading one token


@dataclass(frozen=True)
class Token:
    """A word as it is written.

    Args:
        text: without blanks around it. first, last: its characters in the transcript, [first, last).
    """

    text: str
    first: int
    last: int


def tokens(transcript: str) -> list[Token]:
    """What is to be said of a transcript, word by word: stage directions, markup and mere punctuation left out.

    >>> [token.text for token in tokens("Hello - [beep] world!")]
    ['Hello', 'world!']
    """
    blanked = UNSPOKEN.sub(lambda found: " " * len(found[0]), transcript)
    found = (Token(each[0], each.start(), each.end()) for each in re.finditer(r"\S+", blanked))
    return [token for token in found if _is_said(token.text)]


def _is_said(text: str) -> bool:
    return any(char.isalnum() for char in text) or text.strip(".,;:!?\"'()") in SIGNS


def plain(text: str) -> str:
    """Without accents and typographic apostrophes: what is then left beyond ASCII is of another script, or a sign."""
    apart = unicodedata.normalize("NFKD", text.translate(PLAIN))
    return "".join(char for char in apart if not unicodedata.combining(char))


def is_foreign(text: str) -> bool:
    """Whether a token has letters or digits of a script other than Latin."""
    return any(char.isalnum() and not char.isascii() for char in plain(text))


def readings(text: str) -> Ways:
    """The ways in which a token is read, as words in small letters; the likeliest first, 8 at most.

    Words of capitals only come in capitals: they may be spelled out.

    >>> readings("Dr."), readings("ID#")
    ([['doctor'], ['drive']], [['ID', 'pound'], ['ID', 'hash'], ['ID', 'number']])
    """
    bare = plain(text).strip("\"'()“”„«»,;!?…–—_").rstrip("-")
    short = bare.lower().rstrip(".")
    if short in ABBREVIATIONS and (short in ALWAYS or bare.endswith(".")):
        return [way.split() for way in ABBREVIATIONS[short]]
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]?\.?", bare) and len(bare) > 2:  # U.S.A.
        return [list(bare.replace(".", "").lower())]
    ways: Ways = [[]]
    for piece in PIECES.findall(bare.rstrip(".")):
        ways = [[*way, *more] for way in ways for more in _piece_ways(piece)][:MOST_WAYS]
    return [way for way in ways if way]


def _piece_ways(piece: str) -> Ways:
    if piece in SIGNS:
        return [[word] for word in SIGNS[piece]]
    if any(char.isdigit() for char in piece):
        return number_ways(piece.rstrip(",")) or [
            [word for each in piece if each.isdigit() for word in number_ways(each)[0]]
        ]
    return [[piece if piece.isupper() and len(piece) > 1 else piece.lower()]]

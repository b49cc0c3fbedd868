"""Finding what tells who somebody is: addresses, numbers with a checksum, credentials. Patterns and sums, no model.

Every pattern takes time that grows with the text's length alone: repetitions are bounded, and none begins inside of
what it could have begun earlier.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["credentials", "email", "iban", "card", "ip", "phone", "us_ssn", "uk_nino", "es_dni", "fr_nir", "it_cf"]
USUAL: tuple[Kind, ...] = ("credentials", "email", "iban", "card", "ip", "phone")
NATIONAL: tuple[Kind, ...] = ("us_ssn", "uk_nino", "es_dni", "fr_nir", "it_cf")

# Lengths of IBANs by country: ISO 13616, the registry of SWIFT.
IBAN_CHARS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL SD", 19: "MK SI", 20: "AT BA EE KZ XK LT LU", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


@dataclass(frozen=True)
class Finder:
    """A pattern, what must stand in a text for it to be worth trying, and what of a match counts.

    Args:
        hint: a string that every match holds; "0" stands for any digit.
        part: gives the part of a match that is private, as offsets into the text, or None where the sum is wrong.
    """

    hint: str
    pattern: re.Pattern[str]
    part: Callable[[re.Match[str]], tuple[int, int] | None]


def _whole(found: re.Match[str]) -> tuple[int, int]:
    return found.span()


def _if(holds: Callable[[str], bool]) -> Callable[[re.Match[str]], tuple[int, int] | None]:
    return lambda found: found.span() if holds(found[0]) else None


def luhn(digits: str) -> bool:
    """Whether the checksum of a card's number is right (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2] + [sum(divmod(2 * value, 10)) for value in values[1::2]]) % 10 == 0


def iban_valid(iban: str) -> bool:
    """Whether an IBAN without blanks has its country's length and the right checksum (ISO 7064, mod 97-10).

    >>> iban_valid("DE89370400440532013000"), iban_valid("DE88370400440532013000")
    (True, False)
    """
    if IBAN_CHARS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return digits[0] in "23456" and len(set(digits)) > 1 and luhn(digits)


def _iban(found: re.Match[str]) -> tuple[int, int] | None:
    """The IBAN at the beginning of a match, which may run on into the words behind it."""
    wanted = IBAN_CHARS.get(found[0][:2], 0)
    places = [place for place, char in enumerate(found[0]) if char != " "][:wanted]
    if len(places) < wanted or not wanted:
        return None
    end = places[-1] + 1
    whole = end == len(found[0]) or found[0][end] == " "
    return (found.start(), found.start() + end) if whole and iban_valid(found[0][:end].replace(" ", "")) else None


def _ip(text: str) -> bool:
    if not re.search(r"\d", text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 7 <= len(digits) <= 15 and not re.fullmatch(r"\d{1,2}[-/ ]\d{1,2}[-/ ]\d{2,4}", text)


def _ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _nir(text: str) -> bool:
    digits = text.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _dni(text: str) -> bool:
    number = text[:-1].rstrip("-").replace("X", "0").replace("Y", "1").replace("Z", "2")
    return DNI_LETTERS[int(number) % 23] == text[-1]


_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_HEX = "[0-9A-Fa-f]"
FINDERS: dict[Kind, Finder] = {
    # user and password of a URL (RFC 3986, 3.2.1); the address stays
    "credentials": Finder(
        "://",
        re.compile(r"(?<=://)[^\s/?#@:]{1,256}(?::[^\s/?#@]{0,256})?(?=@)"),
        _whole,
    ),
    # the forms of RFC 5321 that occur, within its lengths; a domain needs a dot
    "email": Finder(
        "@",
        re.compile(
            rf"(?<!{_LOCAL})[A-Za-z0-9]{_LOCAL}{{0,63}}(?<!\.)@(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.){{1,8}}[^\W\d_]{{2,24}}\b"
        ),
        _whole,
    ),
    "iban": Finder("0", re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}"), _iban),
    "card": Finder(
        "0",
        re.compile(r"(?<![\d.])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -])\d{6}\2\d{5})(?![\d]|[.,]\d)"),
        _if(_card),
    ),
    "ip": Finder(
        "0",
        re.compile(
            rf"(?<![\w.:])(?:(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?![\w.]*\d)|(?:{_HEX}{{0,4}}:){{2,7}}{_HEX}{{0,4}}(?![\w:]))"
        ),
        _if(_ip),
    ),
    # international (E.164); North American; with the trunk zero; French pairs
    "phone": Finder(
        "0",
        re.compile(
            r"(?<![\w+.,])(?:\+\d{7,15}|\+\d{1,3}(?:[ .\-/](?:\(\d{1,4}\)[ .\-]?)?\d{2,8}){1,6}"
            r"|(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-. ]\d{4}"
            r"|\(0\d{1,5}\)[ -]?\d{2,4}(?:[ -]?\d{2,4}){1,3}|0\d(?:[ .]\d\d){4}"
            r"|0\d{1,5}[ /-]\d{2,4}(?:[ -]?\d{2,4}){1,3})(?![\d]|[.,]\d)"
        ),
        _if(_phone),
    ),
    "us_ssn": Finder("0", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), _if(_ssn)),
    "uk_nino": Finder(
        "0",
        re.compile(
            r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)"
        ),
        _whole,
    ),
    "es_dni": Finder("0", re.compile(r"(?<!\w)[XYZ\d]\d{7}-?[A-Z](?!\w)"), _if(_dni)),
    "fr_nir": Finder(
        "0", re.compile(r"(?<!\w)[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?(?:\d\d|2A|2B) ?\d{3} ?\d{3} ?\d\d(?!\w)"), _if(_nir)
    ),
    "it_cf": Finder("0", re.compile(r"(?<!\w)[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z](?!\w)"), _whole),
}
DIGIT = re.compile(r"\d")


def redacted(text: str, kinds: Sequence[Kind], *, by: str = "<{kind}>") -> tuple[str, dict[Kind, int]]:
    """Put a placeholder in the place of all that is private.

    Args:
        text: any text.
        kinds: what to look for, in this order: what one has replaced the next does not see.
        by: the placeholder; "{kind}" stands for the kind in capitals.

    Returns:
        the text, and how many of each kind were replaced.

    >>> redacted("Mail a.b@example.org, or call +49 30 901820.", ("email", "phone"))
    ('Mail <EMAIL>, or call <PHONE>.', {'email': 1, 'phone': 1})
    """
    counts: dict[Kind, int] = {}
    has_digit = DIGIT.search(text) is not None
    for kind in kinds:
        finder = FINDERS[kind]
        spans = []
        if has_digit if finder.hint == "0" else finder.hint in text:
            spans = [span for found in finder.pattern.finditer(text) if (span := finder.part(found)) is not None]
        counts[kind] = len(spans)
        if spans:
            text = _replaced(text, spans, by.replace("{kind}", kind.upper()))
    return text, counts


def _replaced(text: str, spans: Sequence[tuple[int, int]], by: str) -> str:
    pieces, done = [], 0
    for start, end in spans:
        pieces += [text[done:start], by]
        done = end
    return "".join([*pieces, text[done:]])

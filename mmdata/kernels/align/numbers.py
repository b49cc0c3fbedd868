"""English words for numbers, as they are read aloud. Where there are several ways, all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
LONGEST = 15  # digits that are read as one number; longer ones are read digit by digit
MONEY = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen"}
NUMBER = re.compile(
    r"(?P<money>[$£€¥])?(?P<sign>[-−+])?(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?P<part>\.[0-9]+)?"
    r"(?P<tail>%|st|nd|rd|th|s)?",
    re.IGNORECASE,
)
CLOCK = re.compile(r"(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])")

Ways = list[list[str]]  # of reading one thing, each a list of words


def number_words(number: int) -> list[str]:
    """A whole number from 0 below 10^15.

    >>> " ".join(number_words(1984))
    'one thousand nine hundred eighty four'
    """
    if number < 20:
        return [ONES[number]]
    if number < 100:
        return [TENS[number // 10], *([ONES[number % 10]] if number % 10 else [])]
    scale, name = next((scale, name) for scale, name in SCALES if number >= scale)
    rest = number % scale
    return [*number_words(number // scale), name, *(number_words(rest) if rest else [])]


def number_ways(text: str) -> Ways:
    """The ways in which a numeral is read; none where it is no numeral.

    >>> [" ".join(way) for way in number_ways("1984")][:2]
    ['nineteen eighty four', 'one thousand nine hundred eighty four']
    >>> number_ways("3.5%"), number_ways("2nd"), number_ways("x")
    ([['three', 'point', 'five', 'percent']], [['second']], [])
    """
    if clock := CLOCK.fullmatch(text):
        return _clock_ways(int(clock["hour"]), clock["minute"])
    found = NUMBER.fullmatch(text)
    if not found or not (found["whole"] or found["part"]):
        return []
    whole, part = (found["whole"] or "").replace(",", ""), found["part"] or ""
    before = [{"-": "minus", "−": "minus", "+": "plus"}[found["sign"]]] if found["sign"] else []
    after = ["point", *_digits(part[1:])] if part else []
    ways = []
    for way in _whole_ways(whole, grouped="," in (found["whole"] or "")) if whole else [[]]:
        if found["money"]:
            ways += _money_ways([*before, *way], part[1:], MONEY[found["money"]])
        else:
            ways.append(_tailed([*before, *way, *after], (found["tail"] or "").lower()))
    return list(_unlike(ways))


def _money_ways(whole: list[str], cents: str, name: str) -> Ways:
    if len(cents) != 2 or not whole:
        return [[*whole, *(["point", *_digits(cents)] if cents else []), name]]
    few = number_words(int(cents)) if int(cents) else []
    if not few:
        return [[*whole, name]]
    return [[*whole, name, *few], [*whole, name, "and", *few, "cents"], [*whole, *few]]


def _whole_ways(digits: str, *, grouped: bool) -> Ways:
    value, spelled = int(digits[:LONGEST]), _digits(digits)
    if len(digits) > LONGEST or (digits[0] == "0" and len(digits) > 1):
        return [spelled, ["oh" if word == "zero" else word for word in spelled]]
    if grouped or len(digits) < 3:
        return [number_words(value), *([spelled] if len(digits) == 2 else [])]
    ways = [number_words(value), *_with_and(number_words(value)), spelled]
    ways.append(["oh" if word == "zero" else word for word in spelled])
    if len(digits) == 4 and digits[1:] != "000":
        ways.insert(0, _pairs(value // 100, value % 100))
        hundreds = [*number_words(value // 100), "hundred", *(number_words(value % 100) if value % 100 else [])]
        ways += [hundreds, *_with_and(hundreds)]
    if len(digits) == 3 and value % 100:
        ways.append(_pairs(value // 100, value % 100))
    return ways


def _pairs(first: int, second: int) -> list[str]:
    """As years are read, and telephone numbers."""
    if not second:
        return [*number_words(first), "hundred"]
    return [*number_words(first), *(["oh"] if second < 10 else []), *number_words(second)]


def _with_and(words: list[str]) -> Ways:
    if "hundred" not in words[:-1]:
        return []
    at = len(words) - 1 - words[::-1].index("hundred")
    return [[*words[: at + 1], "and", *words[at + 1 :]]] if at + 1 < len(words) else []


def _digits(digits: str) -> list[str]:
    return [ONES[int(digit)] for digit in digits]


def _tailed(words: list[str], tail: str) -> list[str]:
    last = words[-1]
    if tail in ("st", "nd", "rd", "th"):
        ordinal = ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
        return [*words[:-1], ordinal]
    if tail == "s":
        return [*words[:-1], f"{last[:-1]}ies" if last.endswith("y") else f"{last}{'es' if last == 'six' else 's'}"]
    return [*words, "percent"] if tail == "%" else words


def _clock_ways(hour: int, minute: str) -> Ways:
    if minute == "00":
        return [[*number_words(hour), "o'clock"], [*number_words(hour), "hundred"], number_words(hour)]
    said = (["oh"] if minute[0] == "0" else []) + number_words(int(minute))
    return [[*number_words(hour), *said]]


def _unlike(ways: Ways) -> Iterator[list[str]]:
    yield from (list(way) for way in dict.fromkeys(map(tuple, ways)))

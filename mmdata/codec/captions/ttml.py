"""Captions in TTML (W3C Timed Text Markup Language 2), and in its forerunner DFXP.

Read by expat, element by element. A document type is refused, and with it every entity: none is needed, and an entity
of entities grows to gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from xml.parsers import expat

from mmdata.codec.captions.cues import Cues
from mmdata.errors import DecodeError

MAX_DEPTH = 100
_CLOCK = re.compile(r"(\d{2,4}):(\d{2}):(\d{2})(?:\.(\d{1,9})|:(\d{2,4})(?:\.(\d{1,4}))?)?$")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|m|s|ms|f|t)$")
_SPACE = re.compile(r"[ \t\r\n]+")


def read_ttml(data: bytes, cues: Cues) -> None:
    """Texts of the document's paragraphs, with the times of whatever holds them.

    Raises:
        DecodeError: it is no XML, has a document type, or nests too deep; or, where that is asked, a time is wrong.
    """
    reader = _Reader(cues)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.characters
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DecodeError(f"it is no well-formed XML: {error}") from None


def _refuse(*_: object) -> None:
    raise DecodeError("it has a document type (DTD), which captions need not have and programs are attacked by")


@dataclass
class _Rates:
    """What times in frames and ticks are of: TTML's parameters."""

    frames_s: Fraction = Fraction(30)
    sub_frames: int = 1
    ticks_s: Fraction = Fraction(1)

    def read(self, attributes: Mapping[str, str]) -> None:
        given = {name: value for name, value in attributes.items() if re.fullmatch(r"[\d ]{1,20}", value)}
        frames = Fraction(int(given.get("frameRate", "30").replace(" ", "") or 30))
        above, _, below = given.get("frameRateMultiplier", "1 1").strip().partition(" ")
        self.frames_s = frames * Fraction(int(above or 1), int(below or 1) or 1) or Fraction(30)
        self.sub_frames = int(given.get("subFrameRate", "1")) or 1
        usual = int(self.frames_s * self.sub_frames) if "frameRate" in given else 1
        self.ticks_s = Fraction(int(given.get("tickRate", usual)) or 1)

    def seconds(self, text: str) -> Fraction | None:
        """A time expression (TTML2, section 12.3.1); None when it is none."""
        if match := _CLOCK.match(text):
            hours, minutes, seconds, fraction, frames, sub = match.groups()
            whole = Fraction((int(hours) * 60 + int(minutes)) * 60 + int(seconds))
            if fraction:
                return whole + Fraction(int(fraction), 10 ** len(fraction))
            return whole + (int(frames or 0) + Fraction(int(sub or 0), self.sub_frames)) / self.frames_s
        if match := _OFFSET.match(text):
            units = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
            units |= {"f": 1 / self.frames_s, "t": 1 / self.ticks_s}
            return Fraction(match[1]) * units[match[2]]
        return None


@dataclass(frozen=True)
class _Element:
    """An open element: when it is shown, and whether what it says is read."""

    begin_s: Fraction = Fraction(0)
    end_s: Fraction | None = None
    is_said: bool = False


@dataclass
class _Reader:
    """Follows the document, and holds the texts of the paragraph it is in, by when they are shown."""

    cues: Cues
    rates: _Rates = field(default_factory=_Rates)
    opened: list[_Element] = field(default_factory=list)
    said: dict[tuple[Fraction, Fraction | None], list[str]] = field(default_factory=dict)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        given = {key.rpartition(" ")[2]: value.strip() for key, value in attributes.items()}
        if not self.opened:
            if local != "tt":
                raise DecodeError(f"it is XML, but no TTML: its root is <{local[:40]}>")
            self.rates.read(given)
        if len(self.opened) >= MAX_DEPTH:
            raise DecodeError(f"its elements nest more than {MAX_DEPTH} deep")
        if given.get("timeContainer") == "seq":
            raise DecodeError("its times follow each other (timeContainer), which is not read here")
        around = self.opened[-1] if self.opened else _Element()
        element = self._timed(around, given, is_said=(around.is_said or local == "p") and "metadata" not in space)
        self.opened.append(element)
        if local == "br" and element.is_said:
            self._say("\n")

    def _timed(self, around: _Element, given: Mapping[str, str], *, is_said: bool) -> _Element:
        times = {name: self.rates.seconds(given[name]) for name in ("begin", "end", "dur") if name in given}
        for name, time in times.items():
            if time is None:
                self.cues.fault(f"{given[name][:40]!r} is no time of TTML")
        begin_s = around.begin_s + (times.get("begin") or 0)
        ends = [around.end_s]
        if (end := times.get("end")) is not None:
            ends.append(around.begin_s + end)
        if (length := times.get("dur")) is not None:
            ends.append(begin_s + length)
        return _Element(begin_s, min((each for each in ends if each is not None), default=None), is_said)

    def characters(self, text: str) -> None:
        if self.opened and self.opened[-1].is_said:
            self._say(_SPACE.sub(" ", text))

    def _say(self, text: str) -> None:
        element = self.opened[-1]
        self.said.setdefault((element.begin_s, element.end_s), []).append(text)

    def end(self, name: str) -> None:
        self.opened.pop()
        if name.rpartition(" ")[2] != "p":
            return
        for (begin_s, end_s), pieces in self.said.items():
            text = _SPACE.sub(" ", "".join(pieces).replace("\n", "\v")).replace("\v", "\n").strip()
            if not text:
                continue
            if end_s is None:
                self.cues.fault(f"a caption has no end: {text[:40]!r}")
            else:
                self.cues.add(round(begin_s * 1000), round(end_s * 1000), text, where=f"the caption {text[:40]!r}")
        self.said = {}

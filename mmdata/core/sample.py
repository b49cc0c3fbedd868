"""The nouns: a sample and its typed parts. All are immutable; a step returns new ones and never writes into an array.

A decoded part carries its `origin`, the blob whose plain decoding it is, for as long as nothing changed it: the store
then keeps the blob's own bytes. Whatever changes a part makes a new one without it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, BinaryIO, Self

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.spans import SpaceMap, Span, TimeMap

UNMOVED = SpaceMap()


@dataclass(frozen=True)
class Pointer:
    """Where bytes lie: a whole file, a range of one (a tar's member), or a row of a table's column.

    Args:
        uri: the file, relative to its source's root, so that moving a corpus changes nothing.
        offset: first byte. length: how many; None is to the end.
        row, column: a cell of a table instead of a range.
    """

    uri: str
    offset: int = 0
    length: int | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        if self.row is not None:
            return f"{self.uri}#row={self.row},column={self.column}"
        return self.uri if self.length is None else f"{self.uri}#bytes={self.offset}-{self.offset + self.length}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pointer that `str` wrote; a plain path is a whole file."""
        uri, _, tail = text.rpartition("#")
        if tail.startswith("row=") and uri:
            row, _, column = tail.removeprefix("row=").partition(",column=")
            return cls(uri, row=int(row), column=column)
        if tail.startswith("bytes=") and uri:
            first, _, last = tail.removeprefix("bytes=").partition("-")
            return cls(uri, int(first), int(last) - int(first))
        return cls(text)


@dataclass(frozen=True, eq=False)
class Blob:
    """Undecoded bytes, read when first asked for and then kept for as long as the blob is.

    Args:
        pointer: where they lie. size: how many there are, in bytes.
        load: reads them. It raises `Unreadable` when they can't be had.
        name: the file's name, a hint for messages only: what it is is sniffed from content.
        open: opens them as a file, where they lie in one that is worth it; None from it is as none given.
    """

    pointer: Pointer
    size: int
    load: Callable[[], bytes]
    name: str = ""
    open: Callable[[], BinaryIO | None] | None = field(default=None, kw_only=True, repr=False)
    _kept: list[bytes] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def of(cls, data: bytes, *, name: str = "") -> Self:
        """A blob that holds its bytes already."""
        return cls(Pointer(name), len(data), lambda: data, name)

    def data(self) -> bytes:
        if not self._kept:
            self._kept.append(self.load())
        return self._kept[0]

    def opened(self) -> BinaryIO:
        """The bytes as a file, which the caller closes: large ones that lie on a disk are not held in memory for it."""
        file = None if self._kept or self.open is None else self.open()
        return io.BytesIO(self.data()) if file is None else file

    @property
    def is_read(self) -> bool:
        """Whether it holds its bytes by now."""
        return bool(self._kept)


@dataclass(frozen=True)
class Text:
    """Unicode text."""

    text: str
    origin: Blob | None = field(default=None, compare=False, repr=False)

    def changed(self, text: str) -> Self:
        """This part with another text; itself when the text is the same."""
        return self if text == self.text else replace(self, text=text, origin=None)


@dataclass(frozen=True, eq=False)
class Image:
    """A picture.

    Args:
        pixels: uint8 [height, width, channel], RGB, or one channel of grey.
        orientation: EXIF's number, 1 to 8, of how the pixels are still to be turned; 1 is upright.
        space_map: which source pixel each pixel shows.
    """

    pixels: np.ndarray
    orientation: int = 1
    space_map: SpaceMap = UNMOVED
    origin: Blob | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def changed(self, pixels: np.ndarray, *, space_map: SpaceMap | None = None, orientation: int | None = None) -> Self:
        """This picture with other pixels, and the map that the change left."""
        return replace(
            self,
            pixels=pixels,
            space_map=self.space_map if space_map is None else space_map,
            orientation=self.orientation if orientation is None else orientation,
            origin=None,
        )


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound.

    Args:
        samples: float32 [channel, time], full scale is -1 to 1.
        rate_hz: samples a second.
        time_map: which source time each moment plays; `None` stands for all of it, untouched.
    """

    samples: np.ndarray
    rate_hz: int
    time_map: TimeMap | None = None
    origin: Blob | None = field(default=None, repr=False)

    @property
    def n_samples(self) -> int:
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.rate_hz

    @property
    def clock(self) -> TimeMap:
        """The time map, spelled out."""
        return TimeMap.identity(Fraction(self.n_samples, self.rate_hz)) if self.time_map is None else self.time_map

    def changed(self, samples: np.ndarray, *, rate_hz: int | None = None, time_map: TimeMap | None = None) -> Self:
        """This sound with other samples. Give `time_map` when the change moved time; it is kept otherwise."""
        kept = self.time_map if time_map is None else time_map
        return replace(self, samples=samples, rate_hz=rate_hz or self.rate_hz, time_map=kept, origin=None)

    def cut(self, first: int, last: int) -> Self:
        """The samples [first, last), with the time map that says where they were; itself when that is all of them."""
        first, last = max(0, first), min(last, self.n_samples)
        if first == 0 and last == self.n_samples:
            return self
        clock = self.clock.cut(Fraction(first, self.rate_hz), Fraction(last, self.rate_hz))
        return self.changed(self.samples[:, first:last], time_map=clock)


@dataclass(frozen=True, eq=False)
class Video:
    """A film, still in its container: what a probe said of it. Frames are decoded by `codec.video.DecodeFrames`.

    Args:
        blob: the container's bytes.
        width, height: pixels, as shown, after rotation.
        fps: average frames a second. duration_s: of the picture track.
        n_frames: None where the container doesn't say. rotation_deg: clockwise turn that a player applies.
        codec: FFmpeg's name. has_audio: whether there is a sound track.
        time_map: which source time each moment plays, for a clip of a longer film; None: all of it, untouched.
    """

    blob: Blob
    width: int
    height: int
    fps: float
    duration_s: float
    n_frames: int | None = None
    rotation_deg: int = 0
    codec: str = ""
    has_audio: bool = False
    time_map: TimeMap | None = None

    @property
    def origin(self) -> Blob:
        return self.blob

    @property
    def clock(self) -> TimeMap:
        """The time map, spelled out."""
        return TimeMap.identity(self.duration_s) if self.time_map is None else self.time_map


@dataclass(frozen=True, eq=False)
class Frames:
    """Decoded frames of a film.

    Args:
        pixels: uint8 [time, height, width, channel], RGB.
        times_s: float64 [time], when each is shown, on the source's clock: the time map of frames. It falls where they
            were reversed.
        is_key: bool [time], whether the frame stands for one that the codec stored whole (an I-frame).
        space_map: which pixel of the source's frames each pixel shows, the same for all of them.
    """

    pixels: np.ndarray
    times_s: np.ndarray
    is_key: np.ndarray
    space_map: SpaceMap = UNMOVED
    origin: None = None

    def changed(self, pixels: np.ndarray, *, space_map: SpaceMap | None = None) -> Self:
        """These frames, at the same times, with other pixels, and the map that the change left."""
        return replace(self, pixels=pixels, space_map=self.space_map if space_map is None else space_map)

    def rows(self, chosen: np.ndarray | slice) -> Self:
        """Some of the frames, by index or mask, with their own times; slices are views."""
        return replace(self, pixels=self.pixels[chosen], times_s=self.times_s[chosen], is_key=self.is_key[chosen])


@dataclass(frozen=True, order=True)
class Cue:
    """One caption: what is said, sung or shown from `start_ms` to `end_ms`.

    Times are whole milliseconds, as in the formats that captions come in, so that storing one changes nothing.
    """

    start_ms: int
    end_ms: int
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms <= self.end_ms:
            raise ValueError(f"a caption can't be from {self.start_ms} to {self.end_ms} ms")

    @property
    def span(self) -> Span:
        return Span(Fraction(self.start_ms, 1000), Fraction(self.end_ms, 1000))


@dataclass(frozen=True)
class Captions:
    """Text with times: the captions of a film, what is said in a recording, the lyrics of a song.

    Args:
        cues: in the order in which they begin; they may overlap.
        time_map: which time of the source each moment of the cues' clock is; `None`: it is the source's own clock.
    """

    cues: tuple[Cue, ...]
    time_map: TimeMap | None = None
    origin: Blob | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """All that is said, a cue a line."""
        return "\n".join(" ".join(cue.text.split()) for cue in self.cues)

    def changed(self, cues: Iterable[Cue], *, time_map: TimeMap | None = None) -> Self:
        """These captions with other cues, put in order; itself when nothing is new. `time_map` is kept unless given."""
        ordered, kept = tuple(sorted(cues)), self.time_map if time_map is None else time_map
        if ordered == self.cues and kept == self.time_map:
            return self
        return replace(self, cues=ordered, time_map=kept, origin=None)


@dataclass(frozen=True, eq=False)
class Array:
    """Numbers that came with a sample, or that a step made."""

    values: np.ndarray
    spec: ArraySpec
    origin: Blob | None = field(default=None, repr=False)


Part = Blob | Text | Captions | Image | Audio | Video | Frames | Array
Meta = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One training example: a key, named typed parts, and metadata (JSON values; `label` has a column of its own)."""

    key: str
    parts: Mapping[str, Part]
    meta: Meta = field(default_factory=dict)
    parent: str | None = None

    def with_part(self, name: str, part: Part) -> Sample:
        return Sample(self.key, {**self.parts, name: part}, self.meta, self.parent)

    def with_meta(self, **values: Any) -> Sample:
        return Sample(self.key, self.parts, {**self.meta, **values}, self.parent)

    def child(self, suffix: str, **parts: Part) -> Sample:
        """A sample split off from this one: its key is extended by `@suffix`, its parts are replaced by name."""
        return Sample(f"{self.key}@{suffix}", {**self.parts, **parts}, self.meta, self.key)

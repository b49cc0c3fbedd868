"""Steps and features that watch films: one decoding for all of a sample's, and each one's errors its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Any

from mmdata.codec.decoders import decode
from mmdata.codec.video import BrokenOff, OpenVideo, decoded
from mmdata.codec.video.hearing import heard
from mmdata.core.sample import Blob, Frames, Part, Video
from mmdata.core.step import Arrays, Feature, address
from mmdata.core.watch import Heard, Hearing, View, Watch, Watches, WatchFirst, ended
from mmdata.engine.counts import Counts
from mmdata.engine.locked import read_only
from mmdata.engine.reading import SOURCE, seconds_read
from mmdata.errors import DecodeError

SHOWING, HEARING = "codec.video.decoded", "codec.video.heard"  # the names under which passes are timed and noted
Note = Callable[[str], None]


@dataclass(eq=False)
class Watcher:
    """A step or feature that watches one film.

    Args:
        step: it. note: told before it is called, in place of what is told of the others.
        view, hearing: what it waits to see and to hear; None is nothing, or it was seen and heard.
        found, error: what came of it, once it is done. seconds: that it took. watches: whether it is not done.
        until_s: up to when all that it asked for could be decoded, as far as that is known.
    """

    step: Watches[Any]
    note: Note | None = None
    view: View | None = None
    hearing: Hearing | None = None
    watching: Any = None
    found: Any = None
    error: Exception | None = None
    seconds: float = 0.0
    watches: bool = True
    has_begun: bool = False
    until_s: float = inf

    @property
    def name(self) -> str:
        return address(type(self.step))

    @property
    def sees(self) -> bool:
        """Whether it waits for frames."""
        return self.watches and self.view is not None

    @property
    def hears(self) -> bool:
        """Whether it waits for sound."""
        return self.watches and self.hearing is not None

    def begin(self, video: Video) -> None:
        self.has_begun = True
        with _Caught(self):
            self.hearing = _hearing(self.step, video)
            self.view, self.watching = _viewed(self.step, video, self.hearing), self.step.watch(video)
            next(self.watching)

    def take(self, piece: Frames | Heard) -> None:
        """Show it frames, or let it hear."""
        with _Caught(self):
            self.watching.send(piece)

    def end(self) -> None:
        with _Caught(self):
            until_s = self.until_s if self.until_s < inf else 0.0
            self.found = self.step.complete(ended(self.watching), until_s)
            self.watches = False

    def fail(self, error: Exception) -> None:
        self.error = error
        self.stop()

    def stop(self) -> None:
        """It gets nothing more."""
        self.watches = False
        if self.watching is not None:
            with suppress(Exception):  # it ended already; what else it has to say is its own
                self.watching.close()


class _Caught:
    """Whatever a watcher raises ends it, and no other."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def __enter__(self) -> None:
        self.started = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.watcher.seconds += perf_counter() - self.started
        if isinstance(error, StopIteration):
            error = TypeError("a watcher must go on until it is sent None")
        if not isinstance(error, Exception):
            return False
        self.watcher.error, self.watcher.watches = error, False
        return True


@dataclass
class Passes:
    """What was decoded for watchers: passes and their own seconds by name, and those of reading."""

    n: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    read_s: float = 0.0

    def count(self, counts: Counts) -> None:
        """Count them in the record of a run."""
        for name, n in self.n.items():
            counts.times(name).spent("", self.seconds[name], n=n)
        counts.times(SOURCE).spent("", self.read_s)

    @contextmanager
    def one(self, name: str, watchers: Sequence[Watcher]) -> Iterator[None]:
        """Time a pass, without what its watchers take."""
        started, before_s = perf_counter(), _seconds(watchers)
        try:
            yield
        finally:
            read_s = seconds_read()
            others_s = _seconds(watchers) - before_s
            self.n[name] += 1
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started - others_s - read_s
            self.read_s += read_s


def watch(
    video: Video, watchers: Sequence[Watcher], note: Note = lambda _: None, *, asks: Watcher | None = None
) -> Passes:
    """Decode a film once for all of them, and nothing that none wants; what came of each stands in it.

    A sound track is heard by all that want it before any picture is shown, and pictures are shown to all at once. So
    who sees and hears takes part in both passes, whoever began them.

    Args:
        video: the film.
        watchers: of it; some may have begun, and wait for pictures.
        note: told the name of each step before it is called, and `HEARING` or `SHOWING` before each stretch of
            decoding.
        asks: decode no more than what this one waits for; the others may go on waiting for the rest. None is all.
    """
    passes = Passes()
    for watcher in watchers:
        if not watcher.has_begun:
            (watcher.note or note)(watcher.name)
            watcher.begin(video)
    wanted = list(watchers) if asks is None else [asks]
    if any(watcher.sees for watcher in wanted):
        wanted += [watcher for watcher in watchers if watcher.sees]
    for hearing in dict.fromkeys(watcher.hearing for watcher in wanted if watcher.hears):
        _hear(video, [each for each in watchers if each.hears and each.hearing == hearing], note, passes)
    if any(watcher.sees for watcher in wanted):
        _see(video, [each for each in watchers if each.sees], note, passes)
    for watcher in watchers:
        if watcher.watches and not watcher.sees and not watcher.hears:
            (watcher.note or note)(watcher.name)
            watcher.end()
    passes.read_s += seconds_read()
    return passes


def _seconds(watchers: Iterable[Watcher]) -> float:
    return sum((watcher.seconds for watcher in watchers), 0.0)


def _hear(video: Video, watchers: Sequence[Watcher], note: Note, passes: Passes) -> None:
    """Let all of them hear the track that they want."""
    hearing = watchers[0].hearing or Hearing()
    with passes.one(HEARING, watchers):
        end_s, damaged_s = 0.0, inf
        pieces = heard(video, hearing.track)
        try:
            while any(watcher.hears for watcher in watchers):
                _teller(watchers, note)(HEARING)
                piece = next(pieces, None)
                if piece is None:
                    break
                end_s = piece.end / piece.rate_hz
                damaged_s = min(damaged_s, end_s) if piece.damage else damaged_s
                _let_hear(piece, [each for each in watchers if each.hears], note)
        except Exception as error:  # noqa: BLE001  each watcher's row says it, as a step's own errors do
            _fail(watchers, error)
        finally:
            pieces.close()
    for watcher in watchers:
        watcher.hearing = None
        watcher.until_s = damaged_s if damaged_s < inf or watcher.sees else end_s


def _let_hear(piece: Heard, watchers: Iterable[Watcher], note: Note) -> None:
    for watcher in watchers:
        if piece.damage and watcher.step.strict:
            watcher.fail(DecodeError(piece.damage))
        else:
            (watcher.note or note)(watcher.name)
            watcher.take(piece)


def _see(video: Video, watchers: Sequence[Watcher], note: Note, passes: Passes) -> None:
    """Show the film to all of them."""
    decoded_s = 0.0
    with passes.one(SHOWING, watchers):
        try:
            decoded_s = _shown(video, watchers, note)
        except BrokenOff as broken:
            decoded_s = broken.at_s
            _fail([watcher for watcher in watchers if watcher.step.strict], broken)
        except Exception as error:  # noqa: BLE001  each watcher's row says it, as a step's own errors do
            _fail(watchers, error)
    for watcher in watchers:
        watcher.view = None
        watcher.until_s = min(watcher.until_s, decoded_s)


def _shown(video: Video, watchers: Sequence[Watcher], note: Note) -> float:
    """Show the film to all of them; returns the second at which it ends."""
    chunks = decoded(video, [watcher.view for watcher in watchers if watcher.view is not None])
    while any(watcher.sees for watcher in watchers):
        _teller(watchers, note)(SHOWING)
        try:
            view, frames = next(chunks)
        except StopIteration as end:
            return float(end.value)
        for watcher in watchers:
            if watcher.sees and watcher.view == view:
                (watcher.note or note)(watcher.name)
                watcher.take(read_only(frames))
    chunks.close()
    return 0.0


def _fail(watchers: Iterable[Watcher], error: Exception) -> None:
    """End all of them that are not done."""
    for watcher in watchers:
        if watcher.watches:
            watcher.fail(error)


def _teller(watchers: Iterable[Watcher], note: Note) -> Note:
    """Who is told of decoding: where none but features ask for it, a death costs no more than them."""
    notes = [watcher.note for watcher in watchers if watcher.watches]
    return next((each for each in notes if each is not None), note) if None not in notes else note


def decoded_for(step: Feature[Any], blob: Blob) -> Part:
    """A part as a feature reads it, by the default decoder; a watcher that is not strict takes films that break off.

    Raises:
        DecodeError: it can't be decoded.
    """
    if isinstance(step, Watch) and not step.strict:
        return OpenVideo(strict=False).map(blob)
    return decode(blob, step.takes)


def watch_alone(step: Watch, video: Video) -> Arrays:
    """What a step makes of a film, with a pass of its own."""
    watcher = Watcher(step)
    watch(video, [watcher])
    if watcher.error is not None:
        raise watcher.error
    if watcher.found is None:
        raise TypeError(f"{step.name} returned nothing")
    arrays: Arrays = watcher.found
    return arrays


def _hearing(step: Watches[Any], video: Video) -> Hearing | None:
    hearing: Any = step.hears(video)
    if hearing is not None and not isinstance(hearing, Hearing):
        raise TypeError(f"hears must return a Hearing or None, not {hearing!r}")
    return hearing


def _viewed(step: Watches[Any], video: Video, hearing: Hearing | None) -> View | None:
    view: Any = step.view(video)
    may_be_none = isinstance(step, WatchFirst) or hearing is not None
    if not isinstance(view, View) and not (view is None and may_be_none):
        raise TypeError(f"view must return a View, not {view!r}")
    return view

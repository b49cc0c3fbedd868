"""Features that watch films: one decoding for all of a sample's, and each one's errors its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from mmdata.codec.decoders import decode
from mmdata.codec.video import BrokenOff, OpenVideo, decoded
from mmdata.core.sample import Blob, Frames, Part, Video
from mmdata.core.step import Arrays, Feature
from mmdata.core.watch import View, Watch, Watching, ended
from mmdata.engine.carry import read_only

SHOWING = "codec.video.decoded"  # the name under which a pass is timed and noted
Note = Callable[[str], None]


@dataclass(eq=False)
class Watcher:
    """A feature that watches one film.

    Args:
        step: the feature. arrays, error: what came of it; neither, as long as it watches. seconds: that it took.
    """

    step: Watch
    view: View = field(default_factory=View)
    watching: Watching | None = None
    arrays: Arrays | None = None
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def watches(self) -> bool:
        return self.arrays is None and self.error is None

    def begin(self, video: Video) -> None:
        with _Caught(self):
            self.view, self.watching = _viewed(self.step, video), self.step.watch(video)
            next(self.watching)

    def see(self, frames: Frames) -> None:
        with _Caught(self):
            _of(self.watching).send(frames)

    def end(self, decoded_s: float) -> None:
        with _Caught(self):
            self.arrays = self.step.complete(ended(_of(self.watching)), decoded_s)

    def fail(self, error: Exception) -> None:
        self.error = error
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
        self.watcher.error = error
        return True


def watch(video: Video, watchers: Sequence[Watcher], note: Note = lambda _: None) -> None:
    """Decode a film once for all of them; what came of each stands in it.

    Args:
        video: the film.
        watchers: of it, not begun.
        note: told the name of each step before it is called, and `SHOWING` before each stretch of decoding.
    """
    for watcher in watchers:
        note(watcher.step.name)
        watcher.begin(video)
    try:
        decoded_s = _shown(video, watchers, note)
    except BrokenOff as broken:
        for watcher in _still(watchers):
            if watcher.step.strict:
                watcher.fail(broken)
        decoded_s = broken.at_s
    except Exception as error:  # noqa: BLE001  each watcher's row says it, as a step's own errors do
        for watcher in _still(watchers):
            watcher.fail(error)
        return
    for watcher in _still(watchers):
        note(watcher.step.name)
        watcher.end(decoded_s)


def _shown(video: Video, watchers: Sequence[Watcher], note: Note) -> float:
    """Show the film to all of them; returns the second at which it ends."""
    if not any(_still(watchers)):
        return 0.0
    chunks = decoded(video, [watcher.view for watcher in _still(watchers)])
    while any(_still(watchers)):
        note(SHOWING)
        try:
            view, frames = next(chunks)
        except StopIteration as end:
            return float(end.value)
        for watcher in _still(watchers):
            if watcher.view == view:
                note(watcher.step.name)
                watcher.see(read_only(frames))
    chunks.close()
    return 0.0


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
    if watcher.arrays is None:
        raise TypeError(f"{step.name} returned nothing")
    return watcher.arrays


def _still(watchers: Sequence[Watcher]) -> Iterator[Watcher]:
    return (watcher for watcher in watchers if watcher.watches)


def _viewed(step: Watch, video: Video) -> View:
    view: Any = step.view(video)
    if not isinstance(view, View):
        raise TypeError(f"view must return a View, not {view!r}")
    return view


def _of(watching: Watching | None) -> Any:
    if watching is None:
        raise TypeError("a watcher that was not begun was shown a film")
    return watching

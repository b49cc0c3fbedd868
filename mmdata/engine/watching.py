"""Steps and features that watch films: one decoding for all of a sample's, and each one's errors its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from mmdata.codec.decoders import decode
from mmdata.codec.video import BrokenOff, OpenVideo, decoded
from mmdata.core.sample import Blob, Frames, Part, Video
from mmdata.core.step import Arrays, Feature, address
from mmdata.core.watch import View, Watch, Watches, WatchFirst, ended
from mmdata.engine.locked import read_only

SHOWING = "codec.video.decoded"  # the name under which a pass is timed and noted
Note = Callable[[str], None]


@dataclass(eq=False)
class Watcher:
    """A step or feature that watches one film.

    Args:
        step: it. note: told before it is called, in place of what is told of the others.
        found, error: what came of it, once it is done. seconds: that it took.
    """

    step: Watches[Any]
    note: Note | None = None
    view: View | None = None
    watching: Any = None
    found: Any = None
    error: Exception | None = None
    seconds: float = 0.0
    watches: bool = True

    @property
    def name(self) -> str:
        return address(type(self.step))

    @property
    def sees(self) -> bool:
        """Whether it waits for frames."""
        return self.watches and self.view is not None

    def begin(self, video: Video) -> None:
        with _Caught(self):
            self.view, self.watching = _viewed(self.step, video), self.step.watch(video)
            next(self.watching)

    def see(self, frames: Frames) -> None:
        with _Caught(self):
            self.watching.send(frames)

    def end(self, decoded_s: float) -> None:
        with _Caught(self):
            self.found = self.step.complete(ended(self.watching), decoded_s)
            self.watches = False

    def fail(self, error: Exception) -> None:
        self.error, self.watches = error, False
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


def watch(video: Video, watchers: Sequence[Watcher], note: Note = lambda _: None) -> None:
    """Decode a film once for all of them, and not at all where none wants frames; what came of each stands in it.

    Args:
        video: the film.
        watchers: of it, not begun.
        note: told the name of each step before it is called, and `SHOWING` before each stretch of decoding.
    """
    for watcher in watchers:
        (watcher.note or note)(watcher.name)
        watcher.begin(video)
    decoded_s = 0.0
    try:
        decoded_s = _shown(video, watchers, note)
    except BrokenOff as broken:
        for watcher in _seeing(watchers):
            if watcher.step.strict:
                watcher.fail(broken)
        decoded_s = broken.at_s
    except Exception as error:  # noqa: BLE001  each watcher's row says it, as a step's own errors do
        for watcher in _seeing(watchers):
            watcher.fail(error)
    for watcher in watchers:
        if watcher.watches:
            (watcher.note or note)(watcher.name)
            watcher.end(decoded_s)


def _shown(video: Video, watchers: Sequence[Watcher], note: Note) -> float:
    """Show the film to all of them that want frames; returns the second at which it ends."""
    if not any(_seeing(watchers)):
        return 0.0
    chunks = decoded(video, [watcher.view for watcher in _seeing(watchers) if watcher.view is not None])
    while any(_seeing(watchers)):
        note(SHOWING)
        try:
            view, frames = next(chunks)
        except StopIteration as end:
            return float(end.value)
        for watcher in _seeing(watchers):
            if watcher.view == view:
                (watcher.note or note)(watcher.name)
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
    if watcher.found is None:
        raise TypeError(f"{step.name} returned nothing")
    arrays: Arrays = watcher.found
    return arrays


def _seeing(watchers: Sequence[Watcher]) -> Iterator[Watcher]:
    return (watcher for watcher in watchers if watcher.sees)


def _viewed(step: Watches[Any], video: Video) -> View | None:
    view: Any = step.view(video)
    if not isinstance(view, View) and not (view is None and isinstance(step, WatchFirst)):
        raise TypeError(f"view must return a View, not {view!r}")
    return view

"""Films that several steps watch: each is decoded once for all that see it unchanged, features among them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from mmdata.core.pipeline import Placed
from mmdata.core.sample import Video
from mmdata.core.step import Split, address
from mmdata.core.watch import Watch, WatchFirst
from mmdata.engine.counts import Counts
from mmdata.engine.notes import FEATURES, Notes
from mmdata.engine.reading import SOURCE, seconds_read
from mmdata.engine.watching import SHOWING, Watcher, watch


@dataclass(frozen=True)
class Company:
    """Who is shown a film together.

    Args:
        part: of the sample. steps: that which asks for it first, and those after it that find the film as it is.
        to_the_end: whether no later step changes the film: then it is the very one that features are computed of.
    """

    part: str
    steps: tuple[WatchFirst[Any], ...]
    to_the_end: bool


def companies(placed: Sequence[Placed]) -> dict[int, Company]:
    """By the place of a step that watches a film first, who is shown the film when it asks for it.

    A step on whole samples is taken to leave films alone, and a step that splits samples to leave none: where that is
    wrong, a film is decoded again, and nothing else.
    """
    return {index: _company(placed, index) for index, each in enumerate(placed) if _shares(each.step)}


def _company(placed: Sequence[Placed], first: int) -> Company:
    steps: list[WatchFirst[Any]] = []
    asks: Any = placed[first].step
    part = asks.film
    for each in placed[first:]:
        if isinstance(each.step, WatchFirst) and each.step.shares and each.step.film == part:
            steps.append(each.step)
        if isinstance(each.step, Split) or each.writes == part:
            return Company(str(part), tuple(steps), to_the_end=False)
    return Company(str(part), tuple(steps), to_the_end=True)


def _shares(step: object) -> bool:
    return isinstance(step, WatchFirst) and step.shares and step.film is not None


@dataclass(frozen=True)
class Early:
    """A feature that may be computed while steps of ingest watch.

    Args:
        family: its name. step: it. rows: keys of the samples whose rows are there already.
    """

    family: str
    step: Watch
    rows: Container[str]


@dataclass
class Films:
    """What was seen of a sample's films, until another film is shown in its place.

    Args:
        counts: where all is counted. notes: told before each call.
        early: features to be shown films together with the steps of ingest.
        refused: the steps that may not be called for the features of an entry, with the reason.
    """

    counts: Counts
    notes: Notes
    early: Sequence[Early] = ()
    refused: Callable[[str], Mapping[str, str]] = lambda _: {}
    _shown: dict[str, tuple[Video, dict[int, Watcher]]] = field(default_factory=dict)
    _elsewhere_s: float = 0.0

    def found(self, step: WatchFirst[Any], video: Video, company: Company, *, entry_key: str, key: str) -> Any:
        """What a step found in a film; it is shown to all of the company where this step has not seen it yet.

        Raises:
            Exception: whatever came of it in place of that.
        """
        watcher = self._watcher(company.part, video, step) or self._show(step, video, company, entry_key, key)
        if watcher.error is not None:
            raise watcher.error
        return watcher.found

    def taken(self, step: Watch, video: Video) -> Watcher | None:
        """A feature that has seen this very film; None where it has not."""
        return self._watcher(step.on or "", video, step)

    def forget(self) -> None:
        """Let go of all films."""
        self._shown = {}

    def seconds_elsewhere(self) -> float:
        """What went to decoding and to others, of the time of those that asked since this was asked last."""
        seconds, self._elsewhere_s = self._elsewhere_s, 0.0
        return seconds

    def _watcher(self, part: str, video: Video, step: object) -> Watcher | None:
        shown, watchers = self._shown.get(part, (None, {}))
        return watchers.get(id(step)) if shown is video else None

    def _show(self, asks: WatchFirst[Any], video: Video, company: Company, entry_key: str, key: str) -> Watcher:
        """Show a film; returns what came of who asks."""
        self._shown.pop(company.part, None)  # what the film before left, which may be large
        watchers = {id(step): Watcher(step) for step in company.steps}
        if company.to_the_end and video.time_map is None and not self.refused(entry_key):
            note = partial(self.notes.of(FEATURES).write, entry_key)
            early = [each for each in self.early if each.step.on == company.part and key not in each.rows]
            watchers |= {id(each.step): Watcher(each.step, note) for each in early}
        started = perf_counter()
        watch(video, list(watchers.values()), partial(self.notes.write, entry_key))
        whole_s, read_s = perf_counter() - started, seconds_read()
        self._shown[company.part] = video, watchers
        self._spent(asks, list(watchers.values()), whole_s, read_s)
        self.notes.write(entry_key, address(type(asks)))  # who goes on now
        return watchers[id(asks)]

    def _spent(self, asks: WatchFirst[Any], watchers: Sequence[Watcher], whole_s: float, read_s: float) -> None:
        """Count everybody's time as its own; the engine counts that of the step that asks."""
        own_s = whole_s - read_s - sum(watcher.seconds for watcher in watchers)
        self.counts.times(SHOWING).spent("", own_s, n=any(watcher.view is not None for watcher in watchers))
        self.counts.times(SOURCE).spent("", read_s)
        self._elsewhere_s += whole_s
        for watcher in watchers:
            if watcher.step is asks:
                self._elsewhere_s -= watcher.seconds
            else:
                stage = "compute" if isinstance(watcher.step, Watch) else ""
                self.counts.times(watcher.name).spent(stage, watcher.seconds)
            watcher.seconds = 0.0

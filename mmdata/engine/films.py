"""Films that several steps watch: each is decoded once for all that find it unchanged, features among them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from mmdata.core.pipeline import Placed
from mmdata.core.sample import Video
from mmdata.core.step import Split
from mmdata.core.watch import Watch, WatchFirst
from mmdata.engine.counts import Counts
from mmdata.engine.notes import FEATURES, Notes
from mmdata.engine.watching import Watcher, watch


@dataclass(frozen=True)
class Company:
    """Who is shown a film together.

    Args:
        part: of the sample. steps: that which asks for it first, and those after it that find the film as it is.
        to_the_end: whether no later step changes the film: then it is the very one that features are computed of.
        once: whether each of them asks once, as no step before makes several samples of one, with the same film.
    """

    part: str
    steps: tuple[WatchFirst[Any], ...]
    to_the_end: bool
    once: bool = False


def companies(placed: Sequence[Placed]) -> dict[int, Company]:
    """By the place of a step that watches a film first, who is shown the film when it asks for it.

    A step on whole samples is taken to leave films alone, and a step that splits samples to leave none: where that is
    wrong, a film is decoded again, and nothing else.
    """
    return {index: _company(placed, index) for index, each in enumerate(placed) if _shares(each.step)}


def _company(placed: Sequence[Placed], first: int) -> Company:
    steps: list[WatchFirst[Any]] = []
    asks: Any = placed[first].step
    part, once = asks.film, not any(isinstance(each.step, Split) for each in placed[:first])
    for each in placed[first:]:
        if isinstance(each.step, WatchFirst) and each.step.shares and each.step.film == part:
            steps.append(each.step)
        if isinstance(each.step, Split) or each.writes == part:
            return Company(str(part), tuple(steps), to_the_end=False, once=once)
    return Company(str(part), tuple(steps), to_the_end=True, once=once)


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
        """What a step found in a film; what it waits for is decoded for all of the company that want it.

        Raises:
            Exception: whatever came of it in place of that.
        """
        if self._watcher(company.part, video, step) is None:
            self._gather(video, company, entry_key, key)
        watcher = self._shown[company.part][1][id(step)]
        if watcher.watches:
            self._show(watcher, video, company.part, entry_key)
        if company.once:
            del self._shown[company.part][1][id(step)]  # what it found may be a whole sound track
        if watcher.error is not None:
            raise watcher.error
        return watcher.found

    def taken(self, step: Watch, video: Video) -> Watcher | None:
        """A feature that watches this very film already, or has seen it; None where it does not."""
        return self._watcher(step.on or "", video, step)

    def forget(self) -> None:
        """Let go of all films."""
        for part in list(self._shown):
            self._leave(part)

    def seconds_elsewhere(self) -> float:
        """What went to decoding and to others, of the time of those that asked since this was asked last."""
        seconds, self._elsewhere_s = self._elsewhere_s, 0.0
        return seconds

    def _watcher(self, part: str, video: Video, step: object) -> Watcher | None:
        shown, watchers = self._shown.get(part, (None, {}))
        return watchers.get(id(step)) if shown is video else None

    def _leave(self, part: str) -> None:
        _, watchers = self._shown.pop(part, (None, {}))
        for watcher in watchers.values():
            if watcher.watches:
                watcher.stop()

    def _gather(self, video: Video, company: Company, entry_key: str, key: str) -> None:
        """Have all of the company watch a film; nothing is decoded yet."""
        self._leave(company.part)  # what the film before left may be large
        watchers = {id(step): Watcher(step) for step in company.steps}
        if company.to_the_end and video.time_map is None and not self.refused(entry_key):
            note = partial(self.notes.of(FEATURES).write, entry_key)
            early = [each for each in self.early if each.step.on == company.part and key not in each.rows]
            watchers |= {id(each.step): Watcher(each.step, note) for each in early}
        self._shown[company.part] = video, watchers

    def _show(self, asks: Watcher, video: Video, part: str, entry_key: str) -> None:
        """Decode what a watcher waits for."""
        watchers = list(self._shown[part][1].values())
        started = perf_counter()
        watch(video, watchers, partial(self.notes.write, entry_key), asks=asks).count(self.counts)
        self._elsewhere_s += perf_counter() - started - asks.seconds  # the engine counts the time of the step that asks
        for watcher in watchers:
            if watcher is not asks:
                stage = "compute" if isinstance(watcher.step, Watch) else ""
                self.counts.times(watcher.name).spent(stage, watcher.seconds)
            watcher.seconds = 0.0
        self.notes.write(entry_key, asks.name)  # who goes on now

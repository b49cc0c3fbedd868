"""Graphs of what a text may sound like: words by their pronunciations, with pauses where there may be some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmdata.kernels.align.paths import NEVER, Graph
from mmdata.kernels.align.sphinx import BEGIN, END, INSIDE, SILENCE, SINGLE, STATES, Acoustics

PAUSES = {SILENCE: np.log(0.05), "+NSN+": np.log(1e-3)}  # what may stand between words, and how readily
Pronunciations = Sequence[Sequence[str]]  # of one word, each a list of phones


@dataclass(frozen=True, eq=False)
class Chains:
    """A graph and what its states mean.

    Args:
        graph: its columns are places in `senones`.
        senones: int [column], senones that are asked for.
        word: int [state], the word that a state belongs to; -1 in pauses.
        phone: int [state], the phone. unit: int [state], a number of its own for each phone of each pronunciation.
    """

    graph: Graph
    senones: np.ndarray
    word: np.ndarray
    phone: np.ndarray
    unit: np.ndarray


@dataclass
class _States:
    """States as they are put down: what each is judged by, and from where it is reached at what cost."""

    model: Acoustics
    senones: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    phones: list[int] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    ways: list[list[tuple[int, float]]] = field(default_factory=list)
    n_units: int = 0

    def chain(self, word: int, phone: int, senones: Sequence[int], enter: Sequence[tuple[int, float]]) -> int:
        """Put down a phone that is entered from some states; its last state."""
        for state, senone in enumerate(senones):
            here = len(self.ways)
            before = enter if state == 0 else [(here - 1, float(self.model.leave[phone, state - 1]))]
            self.ways.append([(here, float(self.model.stay[phone, state])), *before])
            self.senones.append(int(senone))
            self.words.append(word)
            self.phones.append(phone)
            self.units.append(self.n_units)
        self.n_units += 1
        return len(self.ways) - 1

    def exits(self, ends: Sequence[int], cost: float = 0.0) -> list[tuple[int, float]]:
        return [(end, cost + float(self.model.leave[self.phones[end], STATES - 1])) for end in ends]

    def graph(self, first: Sequence[int], last: Sequence[int]) -> Chains:
        n, width = len(self.ways), max(map(len, self.ways))
        before, costs = np.full((n, width), -1), np.full((n, width), NEVER, np.float32)
        for state, ways in enumerate(self.ways):
            before[state, : len(ways)] = [way for way, _ in ways]
            costs[state, : len(ways)] = [cost for _, cost in ways]
        senones, columns = np.unique(self.senones, return_inverse=True)
        marks = np.zeros((2, n), bool)
        marks[0, list(first)], marks[1, list(last)] = True, True
        graph = Graph(columns, before, costs, marks[0], marks[1])
        return Chains(graph, senones, np.array(self.words), np.array(self.phones), np.array(self.units))


def word_chains(model: Acoustics, words: Sequence[Pronunciations], *, open_end: bool = False) -> Chains:
    """The graph of a text.

    Phones at the edges of words are those between the neighbours' first pronunciations, as if there were no pause.

    Args:
        model: whose phones the words are spelled in.
        words: each with at least one pronunciation of at least one phone; none are a pause.
        open_end: whether a path may end after any word; else it has to pass through all.
    """
    number = {name: place for place, name in enumerate(model.phones)}
    states, silence = _States(model), number[SILENCE]
    spelled = [[[number[phone] for phone in way] for way in ways] for ways in words]
    lefts = [silence, *(ways[0][-1] for ways in spelled[:-1])]
    rights = [*(ways[0][0] for ways in spelled[1:]), silence]
    ends: list[int] = []
    pauses = _pauses(states, number, ends)
    first, last = [pause - STATES + 1 for pause in pauses], [*pauses]
    for place, ways in enumerate(spelled):
        enter, here = states.exits([*ends, *pauses]), len(states.ways)
        ends = [_word(states, place, way, (lefts[place], rights[place]), enter) for way in ways]
        if not place:
            first += [here, *(end + 1 for end in ends[:-1])]
        pauses = _pauses(states, number, ends)
        last = [*(last if open_end else []), *ends, *pauses]
    return states.graph(first, last)


def _pauses(states: _States, number: dict[str, int], ends: Sequence[int]) -> list[int]:
    found = []
    for name, cost in PAUSES.items():
        own = states.model.senones[states.model.own[number[name]]].tolist()
        found.append(states.chain(-1, number[name], own, states.exits(ends, float(cost))))
    return found


def _word(
    states: _States, place: int, phones: Sequence[int], sides: tuple[int, int], enter: Sequence[tuple[int, float]]
) -> int:
    neighbours = [sides[0], *phones, sides[1]]
    end = -1
    for at, phone in enumerate(phones):
        where = SINGLE if len(phones) == 1 else BEGIN if at == 0 else END if at == len(phones) - 1 else INSIDE
        own = states.model.states_of(phone, neighbours[at], neighbours[at + 2], where).tolist()
        end = states.chain(place, phone, own, enter if at == 0 else states.exits([end]))
    return end


def phone_loop(model: Acoustics, *, change: float = -4.0) -> Chains:
    """The graph of any sounds at all: every phone, without its neighbours, after every other.

    Args:
        model: whose phones.
        change: log probability of going on to another phone, shared by all.
    """
    states = _States(model)
    n = len(model.phones)
    ends = [phone * STATES + STATES - 1 for phone in range(n)]
    for phone in range(n):
        enter = [(end, change + float(model.leave[end // STATES, STATES - 1])) for end in ends]
        states.chain(phone, phone, model.senones[model.own[phone]].tolist(), enter)
    return states.graph([end - STATES + 1 for end in ends], ends)

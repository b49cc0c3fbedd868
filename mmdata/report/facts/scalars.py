"""How numbers are distributed: a few figures and a histogram a feature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

BINS = 32
MOST_DISTINCT = 24  # whole numbers with no more values than this get a bar each
TAIL = 0.005  # of the values at either end, left out of a histogram whose range they would stretch
EXACT = 2.0**50  # below it, halves of whole numbers are float64, too
LARGE = 1e300
STRETCHED = 3.0  # how much wider than without its tails a range may be


@dataclass(frozen=True)
class Distribution:
    """One feature's numbers.

    Args:
        name: the feature column.
        n, n_missing: samples that have a number, and that have none. n_infinite: of n, those that are infinite.
        low, high, mean, std: of the finite ones. quantiles: at 5, 25, 50, 75 and 95 per cent.
        edges, counts: a histogram; `counts[i]` values lie from `edges[i]` to `edges[i + 1]`.
        n_below, n_above: finite values outside of the histogram.
    """

    name: str
    n: int
    n_missing: int
    n_infinite: int = 0
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    quantiles: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    n_below: int = 0
    n_above: int = 0

    @property
    def median(self) -> float:
        return self.quantiles[2]


def distributions(scalars: Mapping[str, np.ndarray], *, bins: int = BINS) -> Iterator[Distribution]:
    """One a feature, by name."""
    for name, values in sorted(scalars.items()):
        yield distribution(name, values, bins=bins)


def distribution(name: str, values: np.ndarray, *, bins: int = BINS) -> Distribution:
    """The distribution of float64 [sample]; NaN is a sample without a number.

    >>> found = distribution("x", np.array([1.0, 1.0, 3.0, np.nan]))
    >>> found.n, found.n_missing, found.median, found.edges, found.counts
    (3, 1, 1.0, (0.5, 1.5, 2.5, 3.5), (2, 0, 1))
    """
    known = values[~np.isnan(values)]
    finite = known[np.isfinite(known)]
    about = Distribution(name, len(known), len(values) - len(known), len(known) - len(finite))
    if not len(finite):
        return about
    with np.errstate(over="ignore", invalid="ignore"):
        scale = 4.0 if np.abs(finite).max() > LARGE else 1.0  # differences of larger numbers are infinite
        at = (np.quantile(finite / scale, [TAIL, 0.05, 0.25, 0.5, 0.75, 0.95, 1 - TAIL]) * scale).tolist()
        edges = _edges(finite, at[0], at[-1], bins)
    counts = np.histogram(finite, edges)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = np.nan_to_num([finite.mean(), finite.std()]).tolist()
    return replace(
        about,
        low=float(finite.min()),
        high=float(finite.max()),
        mean=mean,
        std=std,
        quantiles=(at[1], at[2], at[3], at[4], at[5]),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        n_below=int((finite < edges[0]).sum()),
        n_above=int((finite > edges[-1]).sum()),
    )


def _edges(finite: np.ndarray, first: float, last: float, bins: int) -> np.ndarray:
    """Where bars begin and end: a bar a value where there are few whole ones, equal widths otherwise."""
    low, high = float(finite.min()), float(finite.max())
    is_exact = max(-low, high) < EXACT
    if is_exact and high - low < MOST_DISTINCT and np.array_equal(finite, np.rint(finite)):
        return np.arange(low, high + 2) - 0.5
    if high - low > STRETCHED * (last - first) > 0:
        low, high = first, last
    edges = np.linspace(low, high, bins + 1)
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():  # a range too wide, or too narrow, for float64
        return np.array([low, min(np.nextafter(high, np.inf), np.finfo(np.float64).max)])
    return edges

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.spans import SpaceMap, Span, TimeMap, exact

times = st.fractions(min_value=0, max_value=20, max_denominator=48_000)


def test_a_float_is_taken_to_the_nearest_nanosecond() -> None:
    assert exact(0.1) == Fraction(1, 10)
    assert exact(Fraction(1, 3)) == Fraction(1, 3)


def test_a_span_can_not_end_before_it_starts() -> None:
    assert Span.of(1, 1).length_s == 0
    with pytest.raises(ValueError, match=r"can't end at 1\.0 s before it starts at 2\.0 s"):
        Span.of(2, 1)


def test_a_trim_keeps_where_each_moment_was() -> None:
    trimmed = TimeMap.identity(10).cut(2, 8)
    assert trimmed.length_s == 6
    assert trimmed.to_source(0) == 2
    assert trimmed.to_source(6) == 8
    assert trimmed.to_source(Fraction(601, 100)) is None
    assert trimmed.from_source(1) is None
    assert trimmed.from_source(5) == 3


def test_a_cut_outside_of_the_output_is_empty() -> None:
    assert TimeMap.identity(3).cut(5, 9).length_s == 0
    assert TimeMap.identity(3).cut(-1, 99) == TimeMap.identity(3)


def test_speed_shortens_and_is_undone_by_its_inverse() -> None:
    clock = TimeMap.identity(9).cut(3, 9)
    faster = clock.stretched(2)
    assert faster.length_s == 3
    assert faster.to_source(1) == 5
    assert faster.stretched(Fraction(1, 2)) == clock
    with pytest.raises(ValueError, match="positive"):
        clock.stretched(0)


def test_a_word_across_a_cut_keeps_its_pieces() -> None:
    whole = TimeMap.identity(10)
    joined = whole.cut(0, 4).followed_by(whole.cut(6, 10))
    pieces = list(joined.spans_from_source(Span.of(3, 7)))
    assert pieces == [Span.of(3, 4), Span.of(4, 5)]
    assert list(joined.spans_from_source(Span.of(4, 6))) == []


def test_only_an_unmoved_clock_is_the_identity() -> None:
    assert TimeMap.identity(4).cut(0, 2).is_identity
    assert not TimeMap.identity(4).cut(1, 2).is_identity
    assert not TimeMap.identity(4).stretched(2).is_identity


@given(times, times, times, st.fractions(min_value=Fraction(1, 4), max_value=4, max_denominator=7))
def test_moments_that_remain_come_back_exactly(start: Fraction, end: Fraction, at: Fraction, speed: Fraction) -> None:
    clock = TimeMap.identity(20).cut(min(start, end), max(start, end)).stretched(speed)
    source = clock.to_source(at)
    if source is not None:
        assert clock.from_source(source) == at
    assert TimeMap.from_json(clock.to_json()) == clock


def test_resize_crop_and_flip_compose_to_the_source_grid() -> None:
    space = SpaceMap().resized(from_size=(640, 480), to_size=(320, 240)).cropped(left=10, top=20).flipped(width=100)
    # output x=0 is the flipped crop's right edge: 100 in the crop, 110 in the resized, 220 in the source
    assert np.allclose(space.to_source(np.array([[0.0, 0.0]])), [[220.0, 40.0]])
    points = np.array([[3.0, 7.0], [50.0, 60.0]])
    assert np.allclose(space.from_source(space.to_source(points)), points)
    assert SpaceMap.from_json(space.to_json()) == space
    assert SpaceMap().is_identity
    assert not space.is_identity

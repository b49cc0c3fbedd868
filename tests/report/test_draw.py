"""Charts are well-formed, show what they are given, and are named for who can't see them."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.report.draw import charts
from mmdata.report.draw.blocks import BLOCKS, bar, fewer, plot
from mmdata.report.draw.lanes import ticks, timeline
from mmdata.report.draw.svg import Svg, picture, tag
from mmdata.report.draw.wording import name, number, prose, shortened
from mmdata.report.facts.lanes import Lane, Timeline
from mmdata.report.facts.scalars import distribution
from mmdata.report.facts.training import Curve
from mmdata.report.previews import Still
from mmdata.report.tables import json_within


def drawn(svg: Svg) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def of_class(svg: Svg, kind: str) -> list[ElementTree.Element]:
    return [each for each in drawn(svg).iter() if kind in each.get("class", "").split()]


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_any_text_is_text_in_a_drawing(text: str) -> None:
    element = drawn(tag("text", text, class_=text))
    assert list(element) == []
    assert element.text or not text
    assert name(text).isprintable() or any(char.isspace() or ord(char) > 127 for char in name(text))
    assert prose(prose(text)) == prose(text)


@pytest.mark.parametrize("bad", ["", "a b", "a>", "script x=1", "1"])
def test_an_element_is_called_by_a_name(bad: str) -> None:
    with pytest.raises(ValueError, match="no element"):
        tag(bad)


def test_markup_made_here_is_not_escaped_again() -> None:
    assert tag("g", tag("a", "<"), "<") == "<g><a>&lt;</a>&lt;</g>"
    assert picture(width=1, height=2, label='"x"', fit=False).startswith(
        '<svg viewBox="0 0 1 2" preserveAspectRatio="none" '
    )


def test_a_histogram_has_a_bar_for_each_that_counts() -> None:
    svg = charts.histogram(distribution("x<y", np.array([1.0, 1, 3, np.nan])))
    heights = [float(each.get("height", 0)) for each in of_class(svg, "bar")]
    assert heights == [68, 34]
    assert drawn(svg).get("aria-label") == "x<y: 3 samples from 1 to 3, median 1, half of them between 1 and 2"
    assert [each.text for each in of_class(svg, "tick")] == ["1", "3"]
    assert "no sample has a number" in charts.histogram(distribution("x", np.array([np.nan])))


def test_a_bar_is_as_long_as_its_share() -> None:
    svg = charts.bar([(25, "left"), (0, "lost"), (50, "lost")], 100)
    found = [(float(each.get("x", 0)), float(each.get("width", 0))) for each in drawn(svg)][1:]
    assert found == [(0, 25), (25, 50)]
    assert drawn(charts.bar([(0, "left")], 0)) is not None


def test_curves_end_with_their_names_apart() -> None:
    found = [Curve("a", [1.0, 0.5, None]), Curve("b", [1.0, 0.5, 0.5]), Curve("c", [None, None, None])]
    svg = charts.curves(found, best=1, label="Loss")
    assert len(of_class(svg, "line")) == 2
    places = [float(each.get("y", 0)) for each in of_class(svg, "tick") if each.text in ("a", "b")]
    assert abs(places[0] - places[1]) >= 12
    assert len(of_class(svg, "median")) == 1
    assert drawn(charts.curves([Curve("a", [])], best=None, label="Loss")) is not None


def test_the_most_frequent_labels_have_colours() -> None:
    labels = ["rare", *["often"] * 3, "", "", *(f"l{at}" for at in range(9)), *(f"l{at}" for at in range(6))]
    colors = charts.classes_of(labels)
    assert (len(colors), colors["often"]) == (charts.N_COLORS, 0)
    assert "" not in colors
    assert "rare" not in colors
    svg = charts.points(np.array([[0, 0], [1, 1]]), ["often", "rare"], ["<a>", "b"], colors, label="map")
    assert [each.get("class") for each in drawn(svg)] == ["p0", "pother"]
    assert [each.get("cy") for each in drawn(svg)] == ["548", "12"]


@settings(deadline=None, max_examples=100)
@given(st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(duration_s: float) -> None:
    found = ticks(duration_s)
    assert 2 <= len(found) <= 11
    assert found[0] == 0
    assert found[-1] <= duration_s * (1 + 1e-9)


def test_every_lane_is_drawn_at_its_time() -> None:
    still = Still(b"RIFF", 40, 20, time_s=9.9)
    lanes = [
        Lane("wave", envelope=np.array([[-1.0, 1], [0, 0]], np.float32), until_s=5.0),
        Lane("words", spans=((0, 5, "a <word>"), (9, 10, "unreadably narrow, so cut"))),
        Lane("keys", marks=(2.5,)),
        Lane("film", stills=(still,)),
        Lane("series", series=(np.array([0.0, 10]), np.array([1.0, 2]))),
        Lane("nothing", series=(np.zeros(0), np.zeros(0))),
    ]
    svg = timeline(Timeline("k", 10.0, lanes))
    assert [each.text for each in of_class(svg, "lane")] == [lane.name for lane in lanes]
    assert [each.get("x1") for each in of_class(svg, "mark")] == ["350"]
    assert [each.get("width") for each in of_class(svg, "span")] == ["400", "80"]
    assert of_class(svg, "said")[0].text == "a <word>"
    assert of_class(svg, "said")[1].text == "unrea…o cut"
    ends = [point.split(",")[0] for point in of_class(svg, "line")[0].get("points", "").split()]
    assert ends == ["150.0", "950.0"]
    image = next(each for each in drawn(svg).iter() if each.tag == "image")
    assert float(image.get("x", 0)) + float(image.get("width", 0)) <= 950


@pytest.mark.parametrize("text", ["</script>", "<!--", "&", "\u2028", "é"])
def test_json_in_a_page_ends_no_element(text: str) -> None:
    import json

    found = json_within({"a": text})
    assert not set(found) & set("<>&\u2028")
    assert json.loads(found) == {"a": text}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 1000), max_size=80), st.integers(1, 40))
def test_a_plot_in_a_line_keeps_what_counts(counts: list[int], most: int) -> None:
    found = fewer(counts, most)
    assert sum(found) == sum(counts)
    assert len(found) <= most
    line = plot(found)
    assert [sign == " " for sign in line] == [not n for n in found]
    assert BLOCKS[-1] in line or not sum(counts)
    assert len(bar(sum(counts), 1000 * 80)) <= 24


@pytest.mark.parametrize(
    ("value", "said"), [(float("nan"), "nan"), (-0.0, "0"), (999999, "999999"), (1234567, "1.235e+06")]
)
def test_numbers_are_short(value: float, said: str) -> None:
    assert number(value) == said


@settings(deadline=None, max_examples=100)
@given(st.text(), st.integers(3, 20))
def test_what_is_shortened_keeps_both_ends(text: str, n: int) -> None:
    found = shortened(text, n)
    assert len(found) <= n
    assert found == text or (text.startswith(found.split("…")[0]) and text.endswith(found.rsplit("…", 1)[1]))

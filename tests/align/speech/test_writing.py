"""Files of other tools, read back by small readers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.align.speech import Word, to_ctm, to_textgrid, to_vtt
from mmdata.codec.captions import DecodeCaptions
from mmdata.core.sample import Blob, Captions

WORDS = [
    Word("say", 0.1, 0.4, 0.5, (("S", 0.1, 0.2), ("EY", 0.2, 0.4))),
    Word('"hi"', 0.4, 0.9, 1.0, (("HH", 0.4, 0.6), ("AY", 0.6, 0.9))),
]


def intervals(grid: str) -> list[list[tuple[float, float, str]]]:
    """The tiers of a TextGrid."""
    tiers = grid.split("    item [")[1:]
    row = re.compile(r'xmin = (\S+)\n\s+xmax = (\S+)\n\s+text = "((?:[^"]|"")*)"')
    return [[(float(a), float(b), text.replace('""', '"')) for a, b, text in row.findall(tier)] for tier in tiers]


def test_a_textgrid_has_a_tier_of_words_and_one_of_phones_without_gaps() -> None:
    grid = to_textgrid(WORDS, duration_s=1.0)
    assert intervals(grid)[0] == [(0, 0.1, ""), (0.1, 0.4, "say"), (0.4, 0.9, '"hi"'), (0.9, 1.0, "")]
    assert [text for _, _, text in intervals(grid)[1]] == ["", "S", "EY", "HH", "AY", ""]
    assert "size = 2\n" in grid


def test_what_overlaps_or_lies_beyond_the_sound_is_cut() -> None:
    words = [Word("a", 0.0, 0.6), Word("b", 0.5, 0.8), Word("c", 0.55, 0.7), Word("d", 0.9, 2.0), Word("e", 3.0, 4.0)]
    assert intervals(to_textgrid(words, duration_s=1.0)) == [
        [(0, 0.6, "a"), (0.6, 0.8, "b"), (0.8, 0.9, ""), (0.9, 1.0, "d")]
    ]


def test_no_words_are_one_empty_interval() -> None:
    assert intervals(to_textgrid([], duration_s=2.5)) == [[(0, 2.5, "")]]


hostile = st.text(max_size=12) | st.sampled_from(['a"b', "x\ny = 3", "a --> b", "<v x>&amp;", ";; note", "\u2028", ""])


@settings(deadline=None, max_examples=150)
@given(st.lists(hostile, max_size=5), hostile)
def test_hostile_words_stay_words(texts: list[str], name: str) -> None:
    words = [Word(text, place, place + 1.0) for place, text in enumerate(texts)]
    assert len(intervals(to_textgrid(words, duration_s=9))[0]) == len(words) + 1
    lines = to_ctm(words, name=name).split("\n")[:-1]
    assert [len(line.split()) for line in lines] == [6] * len(words)
    assert not any(line.startswith(";") for line in lines)
    vtt = to_vtt(words, most_s=0.5)
    seen = sum(bool(re.sub(r"[\s\x00-\x1f\x7f]", "", text)) for text in texts)  # a caption of nothing is none
    assert vtt.count("-->") == seen
    assert len(re.findall(r"\n\n", vtt)) == seen


def test_a_ctm_has_a_line_a_word() -> None:
    assert (
        to_ctm(WORDS, name="clip 1", channel="A") == 'clip_1 A 0.100 0.300 say 0.500\nclip_1 A 0.400 0.500 "hi" 1.000\n'
    )


def test_webvtt_is_read_back_as_captions() -> None:
    words = [Word("a<b", 0.0, 0.5), Word("&", 0.5, 1.0), Word("later", 3.0, 3.25), Word("late", 3661.5, 3662)]
    vtt = to_vtt(words)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na&lt;b <00:00:00.500>&amp;\n")
    captions = DecodeCaptions().map(Blob.of(vtt.encode(), name="x.vtt"))
    assert isinstance(captions, Captions)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in captions.cues] == [
        (0, 1000, "a<b &"), (3000, 3250, "later"), (3661500, 3662000, "late"),
    ]  # fmt: skip


@pytest.mark.parametrize("duration_s", [0.0, -1.0])
def test_a_sound_without_length_has_no_interval_longer_than_it(duration_s: float) -> None:
    assert intervals(to_textgrid(WORDS, duration_s=duration_s))[0] == [(0, 0, "")]

"""Captions of every format, as they come and as they should not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec import captions
from mmdata.codec.captions import DecodeCaptions, vtt_bytes
from mmdata.codec.decoders import decode
from mmdata.codec.encode import encode
from mmdata.core.sample import Blob, Captions, Cue
from mmdata.errors import DataError, DecodeError
from mmdata.testing.captions import CUES, ass_bytes, srt_bytes

TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" {root}>
 <head><metadata><title>not said</title></metadata></head>
 <body><div>{body}</div></body></tt>"""


def read(data: str | bytes, *, name: str = "", strict: bool = True) -> list[tuple[int, int, str]]:
    given = data.encode() if isinstance(data, str) else data
    found = DecodeCaptions(strict=strict).map(Blob.of(given, name=name))
    return [(cue.start_ms, cue.end_ms, cue.text) for cue in found.cues]


def ttml(body: str, root: str = "") -> str:
    return TTML.format(body=body, root=root)


@pytest.mark.parametrize("data", [srt_bytes(), ass_bytes(), vtt_bytes(Captions(CUES))], ids=["srt", "ass", "vtt"])
def test_each_format_gives_the_same_captions(data: bytes) -> None:
    assert DecodeCaptions().map(Blob.of(data)).cues == CUES


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("1\n00:00:01,000 --> 00:00:02,500\n<i>Hi</i> {\\an8}<font color='red'>you</font>\n", [(1000, 2500, "Hi you")]),
        ("1\r\n00:00:01,5 --> 00:00:02.25  X1:1 X2:2\r\nHi\r\n", [(1500, 2250, "Hi")]),
        ("00:01 --> 00:02\nno number\n\nand a blank line\n\n00:03 --> 00:04\n4 < 5\n",
         [(1000, 2000, "no number\nand a blank line"), (3000, 4000, "4 < 5")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\n42\n",
         [(3000, 4000, "42")]),  # one without words, and one that is a number
        ("2\n00:00:03,000 --> 00:00:04,000\nB\n\n1\n00:00:01,000 --> 00:00:03,500\nA --> B\n",
         [(1000, 3500, "A --> B"), (3000, 4000, "B")]),
        ("\ufeff1\n100:00:00,000 --> 100:00:01,000\nlate\n", [(360_000_000, 360_001_000, "late")]),
        ("", []),
        ("\n \n", []),
    ],
)  # fmt: skip
def test_subrip(text: str, cues: list[tuple[int, int, str]]) -> None:
    assert read(text) == cues


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("WEBVTT", []),
        ("WEBVTT - title\nKind: captions\n\nNOTE\nnot said\n\nintro\n00:01.000 --> 00:02.000 align:start\n"
         "<v Anna>Hi <00:01.500><c.loud>you</c></v>\n- yes &amp; no\n\nSTYLE\n::cue { color: red }\n",
         [(1000, 2000, "Hi you\n- yes & no")]),
        ("WEBVTT\n00:01.000 --> 00:02.000\nwithout a blank line\n", [(1000, 2000, "without a blank line")]),
        ("WEBVTT\r\n\r\n00:01.000 --> 00:02.000\r\nA\r\n\r\n\r\n00:01.000 --> 00:01.500\r\nB",
         [(1000, 1500, "B"), (1000, 2000, "A")]),
    ],
)  # fmt: skip
def test_webvtt(text: str, cues: list[tuple[int, int, str]]) -> None:
    assert read(text) == cues


def test_ass_reads_dialogue_by_its_own_columns_and_nothing_else() -> None:
    text = """[Script Info]
Title: x
[Events]
Format: Start, End, Style, Text
Comment: 0:00:00.00,0:00:09.00,Default,not shown
Dialogue: 0:00:02.05,0:00:03.00,Default,{\\b1}One,{\\b0} two\\Nthree{\\p1}m 0 0 l 9 9{\\p0}
Dialogue: 0:00:01.00,0:00:02.00,Default,{\\p1}m 0 0 l 100 0
[Fonts]
Dialogue: 0:00:01.00,0:00:02.00,Default,not an event
"""
    assert read(text) == [(2050, 3000, "One, two\nthree")]


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("[ti:Song]\n[00:01.50]One\n[00:03.00][00:07.00]Chorus\n[00:05.00]\n",
         [(1500, 3000, "One"), (3000, 5000, "Chorus"), (7000, 12000, "Chorus")]),  # the empty line ends one
        ("[offset:+500]\n[length: 00:04]\n[00:00.20]<00:00.20> one <00:01.00> word\n", [(0, 3500, "one  word")]),
        ("[00:01:50]hundredths after a colon\n", [(1500, 6500, "hundredths after a colon")]),
    ],
)  # fmt: skip
def test_lyrics(text: str, cues: list[tuple[int, int, str]]) -> None:
    assert read(text) == cues


@pytest.mark.parametrize(
    ("body", "root", "cues"),
    [
        ('<p begin="1s" end="2.5s">A<br/>B  c</p>', "", [(1000, 2500, "A\nB c")]),
        ('<p begin="00:00:01.040" dur="500ms">A</p>', "", [(1040, 1540, "A")]),
        ('<p begin="00:00:01:12" end="50f">A</p>', 'ttp:frameRate="25"', [(1480, 2000, "A")]),
        ('<p begin="24f" end="48f">A</p>', 'ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"',
         [(1001, 2002, "A")]),
        ('<p begin="10000000t" end="20000000t">A</p>', 'ttp:tickRate="10000000"', [(1000, 2000, "A")]),
        ('<p begin="1s" end="9s"><span begin="1s" end="2s">A</span> <span begin="2s" dur="1s">B</span></p>', "",
         [(2000, 3000, "A"), (3000, 4000, "B")]),
        ('<p begin="1s" end="2s"><span>in <i>one</i></span> go &lt;3</p>', "", [(1000, 2000, "in one go <3")]),
    ],
)  # fmt: skip
def test_ttml(body: str, root: str, cues: list[tuple[int, int, str]]) -> None:
    assert read(ttml(body, root)) == cues
    assert read(ttml(body, root).replace("UTF-8", "UTF-16").encode("utf-16")) == cues


def test_times_of_what_holds_a_caption_are_added() -> None:
    text = ttml('<p begin="1s" end="5s">A</p>').replace("<div>", '<div begin="10s" end="13s">')
    assert read(text) == [(11000, 13000, "A")]


def test_a_line_of_times_begins_a_caption_of_webvtt_without_a_blank_line_too() -> None:
    text = "WEBVTT\n\none\n00:01.000 --> 00:02.000\nA --> a\n00:03.000 --> 00:04.000\nB\n00:05.000 --> 00:06.000\nC"
    assert read(text) == [(1000, 2000, "A --> a"), (3000, 4000, "B"), (5000, 6000, "C")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Once upon a time.", "no captions of a known form"),
        ("1\n00:00:01,000 --> soon\nHi\n", "line 2 is no time of a caption: '00:00:01,000 --> soon'"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n-00:00:03,000 --> 00:00:04,000\nB\n", "line 6 is no time"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n--> 00:00:04,000\nB\n", "line 6 is no time"),
        (ttml('<p begin="1s" end="99999h">A</p>'), "can't be from 1.0 to"),
        ("1\n00:00:03,000 --> 00:00:02,000\nHi\n", r"line 2: a caption can't be from 3.0 to 2.0 s"),
        ("WEBVTT\n\n00:01 --> \nHi\n", "line 3 is no time"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n\nlost words\n", "line 6 belongs to no caption: 'lost words'"),
        ("[Script Info]\n", r"no section \[Events\]"),
        ("[Events]\nDialogue: 0,now,0:00:01.00,,,0,0,0,,Hi\n", "line 2 is no dialogue"),
        ("[00:01.00]One\nTwo\n", "line 2 has no time"),
        ("<html><body/></html>", "no TTML: its root is <html>"),
        ("<tt><body>", "no well-formed XML"),
        (ttml('<p begin="1s">A</p>'), "a caption has no end: 'A'"),
        (ttml('<p begin="soon" end="2s">A</p>'), "'soon' is no time of TTML"),
        (ttml('<p begin="3s" end="2s">A</p>'), "can't be from 3.0 to 2.0 s"),
        (ttml('<p timeContainer="seq"/>'), "timeContainer"),
        (ttml("<i>" * 200 + "</i>" * 200), "nest more than 100 deep"),
        (b"\xff\xfe\x00\xd8", "not"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n\xe9t\xe9\n", "is not utf-8"),
        (b"\x89PNG\r\n\x1a\n", "it holds image/png"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(data: str | bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        "1\n00:00:01,000 --> soon\nlost\n\n2\n00:00:03,000 --> 00:00:04,000\nHi\n",
        "1\n00:00:03,000 --> 00:00:04,000\nHi\n\n2\n00:00:05,000 --> soon\nlost\n",
        "WEBVTT\n\nwords\n\n00:09.000 --> 00:08.000\nlost\n\n00:03.000 --> 00:04.000\nHi\n",
        "[Events]\nDialogue: lost\nDialogue: 0,0:00:03.00,0:00:04.00,,,0,0,0,,Hi\n",
        ttml('<p begin="1s">lost</p><p begin="3s" end="4s">Hi</p>'),
    ],
    ids=["srt", "srt, the later one", "vtt", "ass", "ttml"],
)
def test_captions_at_fault_are_left_out_where_that_is_asked(data: str) -> None:
    assert read(data, strict=False) == [(3000, 4000, "Hi")]


def test_entities_of_entities_are_refused_before_they_grow() -> None:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    text = ttml("<p begin='1s' end='2s'>&e9;</p>").replace("?>", f'?><!DOCTYPE tt [<!ENTITY e0 "ha">{laughs}]>', 1)
    with pytest.raises(DecodeError, match="document type"):
        read(text)
    with pytest.raises(DecodeError, match="document type"):
        read('<!DOCTYPE tt SYSTEM "file:///etc/passwd"><tt/>')


def test_a_flood_of_captions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions.cues, "MAX_CUES", 1_000)
    flood = "WEBVTT\n\n" + "00:01.000 --> 00:02.000\nA\n\n" * 1_000
    assert len(read(flood)) == 1_000
    with pytest.raises(DecodeError, match="more than 1,000 captions"):
        read(flood + "00:01.000 --> 00:02.000\nA\n")
    with pytest.raises(DecodeError, match="max_bytes is 10"):
        DecodeCaptions(max_bytes=10).map(Blob.of(srt_bytes()))


@pytest.mark.parametrize(
    "data",
    ["{\\" * 200_000, "00:00:01,000 --> 00:00:02,000\n" + "{\\<b " * 200_000, "[Events]\nDialogue: " + "{," * 200_000,
     "WEBVTT\n\n00:01.000 --> 00:02.000\n" + "<" * 400_000, "[00:01.00]" * 60_000],
    ids=["braces", "srt", "ass", "vtt", "lrc"],
)  # fmt: skip
def test_hostile_lines_are_read_in_linear_time(data: str) -> None:
    """With one that looks back from each bracket, these would take hours."""
    for strict in (True, False):
        try:
            read(data, strict=strict)
        except DecodeError:
            continue


def test_bytes_of_another_encoding_are_read_by_its_name() -> None:
    blob = Blob.of(srt_bytes().decode().replace("ż", "z").replace("ł", "l").replace("ó", "é").encode("latin-1"))
    assert DecodeCaptions(encoding="latin-1").map(blob).cues[2].text == "zéłw <3".replace("ł", "l")
    with pytest.raises(ValueError, match="no text codec 'klingon'"):
        DecodeCaptions(encoding="klingon")


CUE = st.builds(
    lambda start, length, text: Cue(start, start + length, text),
    st.integers(0, 10**9),
    st.integers(0, 10**7),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
)


@settings(deadline=None)
@given(cues=st.lists(CUE, max_size=5))
def test_what_was_written_is_read_back(cues: list[Cue]) -> None:
    kept = Captions(()).changed(DecodeCaptions().map(Blob.of(vtt_bytes(Captions(tuple(cues))))).cues)
    again = encode(kept, "auto")
    assert again.extension == "vtt"
    assert decode(again.blob, Captions) == again.as_read == kept
    plain = [cue for cue in sorted(cues) if cue.text.isprintable() and cue.text == cue.text.strip() != ""]
    assert [cue for cue in kept.cues if cue in plain] == plain


@settings(deadline=None)
@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"WEBVTT\n\n", b"<tt>", b"[Events]\n", b"[00:01]"]))
def test_any_bytes_are_captions_or_refused(data: bytes, head: bytes) -> None:
    for strict in (True, False):
        try:
            assert isinstance(DecodeCaptions(strict=strict).map(Blob.of(head + data)), Captions)
        except DecodeError:
            continue


def test_untouched_captions_keep_their_own_bytes() -> None:
    blob = Blob.of(srt_bytes())
    stored = encode(decode(blob, Captions), "auto")
    assert (stored.blob, stored.extension) == (blob, "txt")
    changed = Captions(CUES).changed([CUES[1], CUES[0]])
    assert changed.cues == CUES[:2]
    assert changed.changed(changed.cues) is changed
    with pytest.raises(DataError, match="not Unicode"):
        encode(Captions((Cue(0, 1, "\ud800"),)), "vtt")


def test_a_caption_can_not_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="can't be from 2 to 1 ms"):
        Cue(2, 1, "x")
    with pytest.raises(ValueError, match="can't be from -1 to 1 ms"):
        Cue(-1, 1, "x")

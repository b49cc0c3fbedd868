"""Subtitle tracks of films."""

from __future__ import annotations

from typing import Literal

import pytest

from mmdata.codec.captions import ReadSubtitles
from mmdata.codec.decoders import decode
from mmdata.core.sample import Blob, Captions, Cue, Video
from mmdata.core.step import Drop
from mmdata.testing.captions import CUES, ass_bytes, srt_bytes, with_subtitles
from mmdata.testing.films import shots
from mmdata.testing.media import mp4_bytes

FILM = mp4_bytes(shots()[0], 4)
OTHER = (Cue(0, 1000, "autre"),)


def opened(data: bytes) -> Video:
    film = decode(Blob.of(data), Video)
    assert isinstance(film, Video)
    return film


@pytest.mark.parametrize(
    ("container", "first"), [("matroska", srt_bytes()), ("matroska", ass_bytes()), ("mp4", srt_bytes())]
)
def test_a_track_is_read_as_its_file_would_be(container: Literal["matroska", "mp4"], first: bytes) -> None:
    film = opened(with_subtitles(FILM, {"eng": first, "fra": srt_bytes(OTHER)}, container=container))
    assert ReadSubtitles().map(film) == Captions(CUES)
    assert ReadSubtitles(track=1).map(film) == Captions(OTHER)
    assert ReadSubtitles(language="fra").map(film) == Captions(OTHER)
    assert ReadSubtitles(language="deu").map(film) == Captions(())
    assert ReadSubtitles(track=2, required=True).map(film) == Drop("no_subtitles")


def test_a_film_without_subtitles_has_none() -> None:
    assert ReadSubtitles().map(opened(FILM)) == Captions(())
    assert ReadSubtitles(required=True).map(opened(FILM)) == Drop("no_subtitles")

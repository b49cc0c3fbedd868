"""Real pictures, captions, speech and films in any number, with hostile ones among them: something to look at."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from mmdata.core.sample import Blob
from mmdata.core.spans import Span
from mmdata.testing.corpora import media

HOSTILE = "<img src=x onerror=document.title='taken'>"
CAPTION = "<script>document.title='taken'</script> \"quoted\" & 'more' {{ 7*7 }}"
CUE = "b onclick=alert(1)"
TOLD = "A shape that drifts, heard as a lone zebra"
N_FILMS = 40
CLIP_S = 8
PARTS = """{text: "{stem}.txt", image: "{stem}.png", speech: "{stem}_desc_fr.ogg", sound: "{stem}.wav",
          film: "{stem}.mp4", page: "{stem}.html", said: "{stem}.vtt"}"""


def odd_ones(folder: Path, picture: bytes, film: bytes, sound: bytes) -> None:
    """Write what a page must bear with.

    A key and a caption that would be markup, a film with captions, a page that is a part, and two that get lost.

    Args:
        folder: has "disc" and "films" then.
        picture: PNG, of which most have copies.
        film: MP4.
        sound: WAV.
    """
    for name in ("disc", "films"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, data, text in (
        (HOSTILE, picture, CAPTION),
        ("short", picture, "x"),
        ("broken", picture[:200], "a broken picture"),
    ):
        (folder / "disc" / f"{name}.png").write_bytes(data)
        (folder / "disc" / f"{name}.txt").write_text(text, encoding="utf-8")
    films = folder / "films"
    for name in ("drift", "page"):
        (films / f"{name}.png").write_bytes(picture)
    (films / "drift.mp4").write_bytes(film)
    (films / "drift.txt").write_text(TOLD, encoding="utf-8")
    (films / "drift.vtt").write_text(f"WEBVTT\n\n00:01.500 --> 00:03.000\nan okapi says &lt;{CUE}&gt;\n", "utf-8")
    (films / "page.html").write_text("<!doctype html><html><script>alert(1)</script></html>", encoding="utf-8")
    (films / "page.txt").write_text("a page that is a part", encoding="utf-8")
    (films / "page.wav").write_bytes(sound)


def shelf(folder: Path, n: int, film: Path) -> int:
    """Write a source of real samples, the odd ones among them; what `PARTS` names goes together.

    Tux Paint stamps with captions and what is spoken in French (Ogg Vorbis), under as many names as it takes;
    asterisk's prompts with what they say (WAV); stretches of a film as they are coded.

    Args:
        folder: is made.
        n: samples that can be stored: odd ones, films, prompts, and stamps for the rest.
        film: such as Big Buck Bunny.

    Returns:
        how many samples there are, with the two that get lost where pictures are decoded and short texts dropped.

    Raises:
        CorpusUnavailable: the corpora can't be fetched.
    """
    root = media("tuxpaint-stamps-default")
    stamps = _stamps(root)
    prompts = list(_prompts())
    clips = list(_clips(film))
    odd_ones(folder, stamps[0].with_suffix(".png").read_bytes(), clips[0], prompts[0][0].read_bytes())
    left = n - 3
    for number, data in enumerate(clips[:left]):
        place = folder / "films" / f"bunny_{number:03}"
        place.with_suffix(".mp4").write_bytes(data)
        place.with_suffix(".txt").write_text(f"Big Buck Bunny, from second {CLIP_S * number} on", encoding="utf-8")
    left -= len(clips[:left])
    (folder / "prompts").mkdir()
    for file, name, text in prompts[:left]:
        place = folder / "prompts" / name.replace("/", "_")
        _put(file, place.with_suffix(".wav"))
        place.with_suffix(".txt").write_text(text, encoding="utf-8")
    left -= len(prompts[:left])
    for number in range(left):
        stem = stamps[number % len(stamps)]
        kind, *within = stem.parent.relative_to(root).parts
        place = folder.joinpath(kind, f"{number // len(stamps):02}", *within)
        place.mkdir(parents=True, exist_ok=True)
        for end in (".png", ".txt", "_desc_fr.ogg", ".wav"):
            file = stem.with_name(stem.name + end)
            if file.exists():
                _put(file, place / file.name)
    return n + 2


def _stamps(root: Path) -> list[Path]:
    """The stamps that have a picture and a caption, without extension."""
    stems = sorted(path.with_suffix("") for path in root.rglob("*.txt"))
    return [stem for stem in stems if stem.with_suffix(".png").exists()]


def _prompts() -> Iterator[tuple[Path, str, str]]:
    """Each prompt's file, its name, and what it says."""
    text = gzip.decompress((media("asterisk-core-sounds-en") / "core-sounds-en.txt.gz").read_bytes()).decode()
    said = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith(";"))
    root = media("asterisk-core-sounds-en-wav") / "en_US_f_Allison"
    for file in sorted(root.rglob("*.wav")):
        name = file.relative_to(root).with_suffix("").as_posix()
        if len(said.get(name, "")) > 2:
            yield file, name, said[name]


def _clips(film: Path) -> Iterator[bytes]:
    """Stretches of a film from key frame to key frame, packets copied."""
    from mmdata.codec.video import OpenVideo
    from mmdata.codec.video.cutting import clip, key_times

    whole = OpenVideo().map(Blob.of(film.read_bytes()))
    keys = key_times(whole)
    for start in sorted({next(time for time in keys if time >= CLIP_S * number) for number in range(N_FILMS)}):
        end = next((time for time in keys if time >= start + CLIP_S), Fraction(whole.duration_s))
        yield clip(whole, Span.of(start, end), method="copy").blob.data()


def _put(file: Path, place: Path) -> None:
    """A link, or a copy where the file lies on another disk."""
    if file.stat().st_dev == place.parent.stat().st_dev:
        os.link(file, place)
    else:
        place.write_bytes(file.read_bytes())

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmdata.core.rng import rng_for
from mmdata.core.sample import Image
from mmdata.testing.build import ODD_NAME, bomb_bytes, corpus, damaged_corpus
from mmdata.testing.corpus import drawn, filmed, spoken
from mmdata.testing.texts import THINGS


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def test_a_corpus_is_named_like_the_stamps_and_is_the_same_again(tmp_path: Path) -> None:
    labels = corpus(tmp_path / "a", 10, seed=3, n_classes=3)
    assert list(labels) == [f"{THINGS[index % 3]}/{THINGS[index % 3]}_{index:04d}" for index in range(10)]
    assert Counter(labels.values()) == {"disc": 4, "square": 3, "triangle": 3}
    expected = {f"{stem}{end}" for stem in labels for end in (".png", ".txt", "_desc_fr.ogg")}
    assert set(digests(tmp_path / "a")) == expected
    assert corpus(tmp_path / "b", 10, seed=3, n_classes=3) == labels
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    corpus(tmp_path / "c", 10, seed=4, n_classes=3)
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_a_corpus_may_have_films(tmp_path: Path) -> None:
    corpus(tmp_path, 2, films=True)
    assert len(list(tmp_path.rglob("*.mp4"))) == 2


def test_more_samples_leave_the_first_as_they_are(tmp_path: Path) -> None:
    corpus(tmp_path / "a", 3)
    corpus(tmp_path / "b", 5)
    assert digests(tmp_path / "a").items() <= digests(tmp_path / "b").items()


@pytest.mark.parametrize("n_classes", [1, 9])
def test_a_number_of_classes_that_there_are_no_shapes_for_is_refused(tmp_path: Path, n_classes: int) -> None:
    with pytest.raises(ValueError, match=f"2 to 8, not {n_classes}"):
        corpus(tmp_path, 4, n_classes=n_classes)


def test_captions_have_a_line_of_translation(tmp_path: Path) -> None:
    stem = next(iter(corpus(tmp_path, 1)))
    first, second = (tmp_path / f"{stem}.txt").read_text(encoding="utf-8").splitlines()
    assert first.endswith(".")
    assert second.startswith("fr.utf8=")


def test_each_part_names_its_class_most_of_the_time_but_not_always(tmp_path: Path) -> None:
    labels = corpus(tmp_path, 60, n_classes=4)
    named = [label in (tmp_path / f"{stem}.txt").read_text(encoding="utf-8") for stem, label in labels.items()]
    assert 0.65 < np.mean(named) < 0.92


def test_tunes_and_directions_tell_classes_apart() -> None:
    centres_hz = []
    for thing in THINGS:
        sound = spoken(thing, rng_for(1, thing))
        power = np.abs(np.fft.rfft(sound.samples[0])) ** 2
        centres_hz.append(np.fft.rfftfreq(sound.n_samples, 1 / sound.rate_hz)[np.argmax(power)])
    assert centres_hz[-1] > 3 * centres_hz[0]
    assert 0 < np.abs(spoken("disc", rng_for(2)).samples).max() < 1
    right, left = filmed("disc", rng_for(1)), filmed("ring", rng_for(1))
    assert right.pixels.shape == left.pixels.shape == (8, 96, 96, 3)
    assert isinstance(drawn("star", rng_for(1)), Image)


def test_a_damaged_folder_holds_what_it_says(tmp_path: Path) -> None:
    damages = damaged_corpus(tmp_path, 3)
    named = {name for damage in damages for name in damage.files}
    good = {f"good_{index:04d}{end}" for index in range(3) for end in (".png", ".txt")}
    assert {path.name for path in tmp_path.iterdir()} == named | good
    assert Counter(damage.kind for damage in damages) == {"decode": 6, "collision": 1, "link_loop": 1, None: 1}
    assert (tmp_path / "empty.jpg").stat().st_size == 0
    assert (tmp_path / "loop" / "loop" / "words.jpg").read_text().startswith("Hello")
    assert "\n" in ODD_NAME
    assert (tmp_path / f"{ODD_NAME}.png").exists()


def test_a_bomb_is_a_sound_png_that_is_small_until_it_is_decoded() -> None:
    data = bomb_bytes(2000)
    assert len(data) < 2000
    assert struct.unpack(">II", data[16:24]) == (2000, 2000)
    length = struct.unpack(">I", data[33:37])[0]
    assert len(zlib.decompress(data[41 : 41 + length])) == 2000 * 251
    import cv2

    assert np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)).shape == (2000, 2000)

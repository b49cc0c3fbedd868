from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.augment.audio import AddNoise
from mmdata.augment.image import CropAtRandom, FlipImage, JitterColors
from mmdata.clean.audio import MixDown
from mmdata.clean.image import CropImage, LetterboxImage
from mmdata.clean.video import KeepDuration
from mmdata.codec.image import DecodeImage
from mmdata.codec.video import DecodeClip, DecodeFrames, OpenVideo
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.core.sample import Blob, Frames, Image
from mmdata.core.step import Drop, Extract, Map, Step
from mmdata.errors import ConfigError, StepError, StoreError
from mmdata.features.image import ColorHistogram
from mmdata.loader.films import Room
from mmdata.loader.rows import rows
from mmdata.loader.stream import stream
from mmdata.store import Store
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes, wav_bytes
from mmdata.testing.sounds import tone
from tests.loader.gallery import gallery, key_of, number_of

Steps = dict[str, Sequence[Step]]
SIZES = (7, 2, 9)


@cache
def film(n_frames: int, width: int, height: int, seed: int = 0, *, sounds: bool = False) -> bytes:
    frames, _ = moving_shapes(n_frames, width, height, radius_px=6, seed=seed)
    return mp4_bytes(frames, audio=tone(n_frames / 8, 300.0, 16000) if sounds else None)


def films(number: int) -> bytes | None:
    """Films of 4 to 14 frames and of three sizes, every other with sound; one lacking in seven."""
    if number % 7 == 3:
        return None
    return film(4 + 5 * (number % 3), 32 + 16 * (number % 2), 32, sounds=number % 2 == 0)


def spoiled(number: int) -> bytes | None:
    """The same, but that 1 is cut, 4 is of no bytes, 8 a sound alone and 12 no film."""
    whole = film(9, 32, 32)
    bad = {1: whole[: len(whole) // 2], 4: b"", 8: wav_bytes(tone(0.1)), 12: b"no film at all, but long enough"}
    return bad[number] if number in bad else films(number)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return gallery(tmp_path_factory.mktemp("films") / "store", SIZES, film=films)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return gallery(tmp_path_factory.mktemp("damaged") / "store", SIZES, film=spoiled)


def decoded(number: int, **settings: Any) -> Frames:
    """A film as its bytes are decoded."""
    return DecodeFrames(**settings).map(OpenVideo().map(Blob.of(films(number) or b"")))


def batches(store: Store, columns: Sequence[str] = ("film",), **settings: Any) -> list[dict[str, Any]]:
    usual: dict[str, Any] = {"batch_size": 5, "tail": "short", "window_rows": 4, "lanes": 2}
    return list(stream(store, columns, **usual | settings))


def test_every_frame_comes_padded_with_its_time(store: Store) -> None:
    seen = 0
    for batch in batches(store, ["film", "image", "label"]):
        sizes = batch["film.length"]
        assert batch["film"].dtype == np.uint8
        assert batch["film"].shape[1:] == (*sizes.max(axis=0), 3)
        assert batch["film.times_s"].shape == batch["film"].shape[:2]
        for row, key in enumerate(batch["key"]):
            number = number_of(key)
            assert batch["film.mask"][row] == (films(number) is not None)
            time, height, width = sizes[row]
            expected = decoded(number) if batch["film.mask"][row] else None
            pixels = np.zeros((0, 0, 0, 3)) if expected is None else expected.pixels
            assert (batch["film"][row, :time, :height, :width] == pixels).all()
            assert not batch["film"][row, time:].any()
            assert not batch["film"][row, :, height:].any()
            assert not batch["film"][row, :, :, width:].any()
            times_s = np.zeros(0) if expected is None else expected.times_s
            assert (batch["film.times_s"][row, :time] == times_s).all()
            assert not batch["film.times_s"][row, time:].any()
            seen += 1
    assert seen == sum(SIZES)


def test_clips_have_one_length_and_another_beginning_in_each_epoch(store: Store) -> None:
    clip = DecodeClip(n_frames=3, fps=8)
    steps: Steps = {"film": [clip]}
    made = stream(store, ["film"], batch_size=5, tail="short", steps=steps, seed=4)
    starts: list[dict[str, float]] = []
    for epoch in range(3):
        starts.append({})
        for batch in made:
            assert batch["film"].shape[1] == 3
            for row, key in enumerate(batch["key"]):
                if not batch["film.mask"][row]:
                    continue
                times_s = batch["film.times_s"][row]
                video = OpenVideo().map(Blob.of(films(number_of(key)) or b""))
                expected = clip.map(video, rng_for(4, epoch, clip.name, "film", 0, key))
                assert isinstance(expected, Frames)
                assert (times_s == expected.times_s).all()
                height, width = batch["film.length"][row]
                assert (batch["film"][row, :, :height, :width] == expected.pixels).all()
                starts[-1][key] = times_s[0]
    assert starts[0] != starts[1] != starts[2]


def test_steps_on_pictures_are_done_to_all_frames_alike(store: Store) -> None:
    crop, flip = CropAtRandom(width_px=24, height_px=24), FlipImage()
    steps: Steps = {"film": [DecodeFrames(fps=4), crop, flip, JitterColors()]}
    flipped = 0
    for batch in batches(store, steps={"film": steps["film"][:3]}, seed=9):
        assert batch["film"].shape[2:] == (24, 24, 3)
        assert batch["film.length"].ndim == 1
        for row, key in enumerate(batch["key"]):
            if not batch["film.mask"][row]:
                continue
            for shown, pixels in zip(batch["film"][row], decoded(number_of(key), fps=4).pixels, strict=False):
                cut = crop.map(Image(pixels), rng_for(9, 0, crop.name, "film", 0, key))
                assert isinstance(cut, Image)
                turned = flip.map(cut, rng_for(9, 0, flip.name, "film", 0, key))
                assert isinstance(turned, Image)
                assert (shown == turned.pixels).all()
                flipped += turned is not cut
    assert flipped
    assert batches(store, steps=steps)[0]["film"].any()  # four random steps, one after another


def test_films_that_are_bad_are_replaced(damaged: Store) -> None:
    made = stream(damaged, ["film"], batch_size=6, steps={"film": [DecodeClip(n_frames=2, fps=8)]}, lanes=1)
    keys = {key for _ in range(4) for batch in made for key in batch["key"]}
    bad = {key_of(number) for number in (1, 4, 8, 12)}
    assert not keys & bad
    assert {one.key for one in made.replaced} == bad
    assert {one.kind for one in made.replaced} == {"decode"}
    told = {one.key: one.error for one in made.replaced}
    assert "cut short" in told[key_of(1)]
    assert told[key_of(4)] == "it is empty"
    assert "no film that is decoded here" in told[key_of(8)]
    with pytest.raises(StoreError, match="samples in a row are bad"):
        list(stream(damaged, ["film"], batch_size=6, max_consecutive_bad=0))


def test_films_that_a_step_drops_are_replaced(store: Store) -> None:
    asked: Steps = {"film": [KeepDuration(min_s=1.0), DecodeClip(n_frames=8, fps=8, short="drop")]}
    made = stream(store, ["film"], batch_size=6, tail="short", steps=asked)
    for batch in made:
        assert batch["film"].shape[1] == 8
        assert all(number_of(key) % 3 for key, there in zip(batch["key"], batch["film.mask"], strict=True) if there)
    assert {one.kind for one in made.replaced} == {"dropped"}


def test_a_film_has_its_sound_as_a_column(store: Store) -> None:
    for batch in batches(store, ["film.sound"], steps={"film.sound": [MixDown()]}):
        for row, key in enumerate(batch["key"]):
            number = number_of(key)
            assert batch["film.sound.mask"][row] == (number % 2 == 0 and films(number) is not None)
            rate_hz, n_samples = batch["film.sound.rate_hz"][row], batch["film.sound.length"][row]
            assert rate_hz == (16000 if batch["film.sound.mask"][row] else 0)
            # a codec pads at both ends
            expected_s = (4 + 5 * (number % 3)) / 8 if batch["film.sound.mask"][row] else 0
            assert n_samples == pytest.approx(expected_s * rate_hz, abs=3000)
            assert batch["film.sound"][row].any() == batch["film.sound.mask"][row]


def test_a_film_whose_sound_can_not_be_decoded_is_replaced(damaged: Store) -> None:
    made = stream(damaged, ["film.sound"], batch_size=6, tail="short")
    keys = {key for batch in made for key in batch["key"]}
    assert not keys & {key_of(1), key_of(4), key_of(12)}
    assert key_of(8) in keys  # a sound alone
    assert {one.column for one in made.replaced} == {"film.sound"}


@dataclass(frozen=True, kw_only=True)
class Levels(Extract[Frames]):
    """The mean level of each frame: float32 [time]."""

    on: str = "frames"
    into: str = "frames.levels"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",))

    def extract(self, frames: Frames) -> np.ndarray:
        return np.asarray(frames.pixels.mean(axis=(1, 2, 3), dtype=np.float64), np.float32)


def test_a_feature_can_be_computed_of_the_frames(store: Store) -> None:
    for batch in batches(store, steps={"film": [DecodeFrames(fps=4), Levels()]}):
        assert "film.times_s" not in batch
        for row, key in enumerate(batch["key"]):
            if batch["film.mask"][row]:
                levels = Levels().extract(decoded(number_of(key), fps=4))
                assert (batch["film"][row, : batch["film.length"][row]] == levels).all()


def test_rows_by_number_give_films(store: Store) -> None:
    data = rows(store, ["film"], steps={"film": [DecodeFrames(fps=4)]}, output="torch")
    batch = data[[1, 0]]
    assert isinstance(batch["film"], torch.Tensor)
    assert (batch["film"][1, :2].numpy()[:, :32, :32] == decoded(0, fps=4).pixels).all()
    assert data[0]["film.times_s"].tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([AddNoise()], "works on Audio, here it is given one Frames at a time"),
        ([DecodeImage()], "gives no Video, which 'film' is"),
        ([ColorHistogram()], "does not give one Frames for another"),
        ([DecodeClip(), DecodeClip()], "works on Video, here it is given one Frames"),
        ([Levels(), FlipImage()], "one of a single column may stand last"),
        ([DecodeFrames(), KeepDuration()], "works on Video, here it is given one Frames"),
    ],
)
def test_steps_that_fit_no_film_are_refused(store: Store, steps: Sequence[Step], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stream(store, ["film"], steps={"film": steps})


@dataclass(frozen=True, kw_only=True)
class CutByContent(Map[Image, Image]):
    """Cuts as many columns off as the first pixel says."""

    on: str = "image"

    def map(self, image: Image) -> Image | Drop:
        return image.changed(image.pixels[:, int(image.pixels[0, 0, 0]) % 7 :])


def test_a_step_that_makes_frames_of_different_sizes_is_named(store: Store) -> None:
    with pytest.raises(StepError, match=r"CutByContent gives pictures of different sizes"):
        batches(store, steps={"film": [CutByContent()]})


def test_films_larger_than_their_share_of_memory_are_named_before_they_are_decoded(store: Store) -> None:
    few = 8 * 40_000  # a file has 2 to 5 kB, and 14 frames of 48 x 32 have 65 kB
    with pytest.raises(ConfigError) as error:
        batches(store, max_bytes=few)
    told = error.value.faults[0]
    assert told.startswith("max_bytes: the decoding of 'gallery/")
    assert "DecodeClip(n_frames=..., size_px=...)" in told
    assert batches(store, max_bytes=few, steps={"film": [DecodeClip(n_frames=2, fps=8)]})
    with pytest.raises(ConfigError, match=r"max_bytes: the file of 'gallery/"):
        batches(store, max_bytes=8 * 3_000, steps={"film": [DecodeClip(n_frames=1, fps=8, size_px=4)]}, batch_size=1)


def test_a_decoder_with_limits_makes_large_films_bad_samples(store: Store) -> None:
    largest = max(len(films(number) or b"") for number in range(sum(SIZES)))
    made = stream(store, ["film"], batch_size=6, tail="short", steps={"film": [OpenVideo(max_bytes=largest - 1)]})
    list(made)
    assert made.replaced
    assert all(one.kind == "decode" and "max_bytes is" in one.error for one in made.replaced)
    by_frames = stream(store, ["film"], batch_size=6, tail="short", steps={"film": [DecodeFrames(max_frames=9)]})
    assert all(len(batch["film"][0]) <= 9 for batch in by_frames)
    assert {number_of(one.key) % 3 for one in by_frames.replaced} == {2}


def test_a_film_of_more_frames_than_it_says_is_a_bad_sample(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmdata.loader import decoding

    monkeypatch.setattr(decoding, "frames_bytes", lambda step, video: 1)  # as a container that lies would have it
    made = stream(store, ["film"], batch_size=1, steps={"film": [DecodeFrames()]}, max_bytes=8 * 50_000)
    list(made)
    assert {number_of(one.key) % 6 for one in made.replaced} == {5}
    assert all("bytes of frames at this rate and size, and max_bytes is" in one.error for one in made.replaced)


def test_threads_never_hold_more_than_there_is_room_for() -> None:
    room, held, most = Room(100, "film"), [0], [0]
    begin = Barrier(8)

    def take(n_bytes: int) -> None:
        begin.wait(120)
        for _ in range(50):
            with room.taken(n_bytes, "k"):
                held[0] += n_bytes  # under Python's lock: threads change between lines, which is what is looked for
                most[0] = max(most[0], held[0])
                held[0] -= n_bytes

    threads = [Thread(target=take, args=(n_bytes,)) for n_bytes in (30, 40, 50, 60, 70, 80, 90, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert 30 <= most[0] <= 100
    with room.taken(100, "k"):
        pass
    with pytest.raises(ConfigError, match="the film of 'k' takes"), room.taken(101, "k"):
        pass


def test_every_world_gives_the_same_clips(store: Store) -> None:
    def shown(rank: int, world: int, epoch: int) -> list[dict[str, Any]]:
        steps: Steps = {"film": [DecodeClip(n_frames=2, fps=8, size_px=16), LetterboxImage(width_px=16, height_px=16)]}
        settings: dict[str, Any] = {"global_batch_size": 4, "window_rows": 4, "lanes": 4, "steps": steps}
        return list(stream(store, ["film"], rank=rank, world=world, epoch=epoch, **settings))

    for epoch in range(2):
        alone = shown(0, 1, epoch)
        for world in (2, 4):
            for step, together in enumerate(zip(*(shown(rank, world, epoch) for rank in range(world)), strict=True)):
                assert [key for batch in together for key in batch["key"]] == alone[step]["key"]
                for name in ("film", "film.times_s"):
                    assert (np.concatenate([batch[name] for batch in together]) == alone[step][name]).all()


def test_a_film_on_its_side_comes_as_it_is_shown(tmp_path: Path) -> None:
    turned = gallery(tmp_path / "store", (3,), film=lambda number: sideways())
    (batch,) = batches(turned, steps={"film": [CropImage(width_px=24, height_px=40)]})
    assert batch["film"].shape == (3, 6, 40, 24, 3)


@cache
def sideways() -> bytes:
    """Frames stored as 40 x 24, to be shown as 24 x 40."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=8)
        track.width, track.height, track.pix_fmt = 40, 24, "yuv420p"
        track.set_display_rotation(90)
        for at in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((24, 40, 3), 20 * at, np.uint8), format="rgb24")
            frame.pts = at
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()


def test_films_go_to_hugging_face_with_their_times(store: Store) -> None:
    from mmdata.loader.huggingface import to_huggingface

    made = stream(store, ["film"], batch_size=5, tail="short", steps={"film": [DecodeFrames(fps=4, size_px=16)]})
    for sample in to_huggingface(made).with_format("numpy"):
        number = number_of(sample["key"])
        if films(number) is None:
            assert sample["film"] is None
            assert sample["film.times_s"] is None
            continue
        expected = decoded(number, fps=4, size_px=16)
        assert (np.asarray(sample["film"]) == expected.pixels).all()
        assert sample["film.times_s"].tolist() == expected.times_s.tolist()

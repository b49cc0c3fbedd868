from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from mmdata.core.sample import Text
from mmdata.testing.build import (
    caption,
    click_track,
    drift,
    flac_bytes,
    jpeg_bytes,
    moving_shapes,
    mp4_bytes,
    noise,
    ogg_bytes,
    picture,
    png_bytes,
    shape,
    shots,
    silence,
    tone,
    wav_bytes,
)
from mmdata.testing.pictures import SHAPES


def test_a_tone_has_its_pitch_level_and_length() -> None:
    sound = tone(0.5, 1000.0, 8000, 2, level_db=-12)
    assert sound.samples.shape == (2, 4000)
    assert sound.samples.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(sound.samples[1]))) == 500
    assert np.abs(sound.samples).max() == pytest.approx(10 ** (-12 / 20), rel=1e-4)
    assert sound.samples[0, 0] == 0


def test_noise_has_its_level_and_no_correlation() -> None:
    sound = noise(1, 16000, 2, level_db=-30)
    level_db = 20 * np.log10(np.sqrt(np.mean(sound.samples.astype(float) ** 2, axis=1)))
    assert level_db == pytest.approx([-30, -30], abs=1e-3)
    assert abs(np.corrcoef(sound.samples)[0, 1]) < 0.05
    assert not np.array_equal(noise(seed=1).samples, noise(seed=2).samples)
    assert noise(0).samples.shape == (1, 0)


def test_silence_is_zeros() -> None:
    assert silence(0.1, 8000, 2).samples.shape == (2, 800)
    assert not silence().samples.any()


def test_clicks_start_at_every_beat() -> None:
    sound = click_track(2.0, 120, 8000)
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0)
    starts = loud[np.concatenate([[True], np.diff(loud) > 400])]
    # a click's first sample is 0, at phase 0
    assert (starts - 1).tolist() == [0, 4000, 8000, 12000]


@pytest.mark.parametrize("kind", ["texture", "gradient", "checker", "shapes"])
def test_pictures_have_their_size_and_are_the_same_again(kind: str) -> None:
    one, other = (picture(33, 20, kind, seed=5) for _ in range(2))  # type: ignore[arg-type]
    assert one.pixels.shape == (20, 33, 3)
    assert one.pixels.dtype == np.uint8
    assert np.array_equal(one.pixels, other.pixels)
    assert one.pixels.std() > 30


def test_a_texture_moved_by_whole_pixels_is_the_same_texture() -> None:
    still, moved = drift(40, 30, seed=2), drift(40, 30, shift_px=(3, 2), seed=2)
    assert np.abs(moved[2:, 3:].astype(int) - still[:-2, :-3]).max() <= 1
    assert np.abs(drift(40, 30, shift_px=(0.5, 0), seed=2).astype(int) - still).max() > 10


def test_shapes_differ_and_turn() -> None:
    masks = [shape(name, 60, 60, center_px=(30, 30), radius_px=20) for name in SHAPES]
    assert all(300 < mask.sum() < 1500 for mask in masks)
    assert all((one != other).sum() > 100 for one in masks for other in masks if one is not other)
    upright = shape("bar", 61, 61, center_px=(30, 30), radius_px=20)
    turned = shape("bar", 61, 61, center_px=(30, 30), radius_px=20, turn=np.pi / 2)
    assert (turned != upright.T).mean() < 0.01


def test_flow_says_where_every_pixel_goes() -> None:
    frames, flow = moving_shapes(4, 80, 60, camera_px=(-1, 2), shape_px=(3, 1), radius_px=12, seed=1)
    assert frames.pixels.shape == (4, 60, 80, 3)
    assert flow.shape == (3, 60, 80, 2)
    assert flow.dtype == np.float32
    wrong = 0
    for pair in range(3):
        rows, columns = np.mgrid[5:50, 5:70]
        to_x = columns + flow[pair, 5:50, 5:70, 0].astype(int)
        to_y = rows + flow[pair, 5:50, 5:70, 1].astype(int)
        # 2 levels: rounding, twice
        wrong += (
            (np.abs(frames.pixels[pair + 1][to_y, to_x].astype(int) - frames.pixels[pair][5:50, 5:70]) > 2)
            .any(-1)
            .sum()
        )
    # only ground that the disc comes to hide is lost
    assert wrong / (3 * 45 * 65) < 0.05
    assert {tuple(motion) for motion in flow[0].reshape(-1, 2).tolist()} == {(-1.0, 2.0), (3.0, 1.0)}


def test_cuts_are_where_the_film_says() -> None:
    frames, starts = shots((3, 2, 4))
    assert starts.tolist() == [0, 3, 5]
    assert frames.is_key.nonzero()[0].tolist() == [0, 3, 5]
    change = np.abs(np.diff(frames.pixels.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert sorted(np.argsort(change)[-2:] + 1) == [3, 5]
    assert frames.times_s.tolist() == [index / 8 for index in range(9)]


def test_captions_name_the_thing_and_differ() -> None:
    assert "teapot" in caption(1, thing="teapot").text
    assert len({caption(seed).text for seed in range(50)}) > 40
    assert caption(4) == caption(4) == Text(caption(4).text)


def test_files_are_the_same_bytes_every_time_and_decode() -> None:
    import av
    import cv2
    import soundfile

    sound, image, (frames, _) = tone(0.6), picture(), moving_shapes(radius_px=10)
    builders: list[Callable[[], bytes]] = [
        lambda: jpeg_bytes(image),
        lambda: png_bytes(image),
        lambda: wav_bytes(sound),
        lambda: flac_bytes(sound),
        lambda: ogg_bytes(sound),
        lambda: mp4_bytes(frames, audio=sound),
    ]
    for build in builders:
        assert build() == build()
    raw = np.frombuffer(png_bytes(image), np.uint8)
    assert np.array_equal(np.asarray(cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)), image.pixels)
    for data in (wav_bytes(sound), flac_bytes(sound)):
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
        assert rate_hz == 16000
        assert np.abs(samples - sound.samples[0]).max() < 1 / 32000
    assert len(soundfile.read(io.BytesIO(ogg_bytes(sound)))[0]) == sound.n_samples
    with av.open(io.BytesIO(mp4_bytes(shots((3, 2))[0], audio=sound)), "r") as container:
        assert [frame.key_frame for frame in container.decode(video=0)] == [True, False, False, True, False]
        assert len(container.streams.audio) == 1


def test_a_grey_picture_makes_a_grey_png() -> None:
    import cv2

    grey = picture().pixels[..., :1]
    raw = np.frombuffer(png_bytes(type(picture())(grey)), np.uint8)
    assert np.array_equal(np.asarray(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)), grey[..., 0])

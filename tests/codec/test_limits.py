from __future__ import annotations

import pytest

from mmdata.codec.audio import DecodeAudio
from mmdata.codec.image import DecodeImage
from mmdata.codec.limits import HARMLESS_BYTES, expands_within
from mmdata.core.sample import Audio, Blob
from mmdata.errors import DecodeError
from mmdata.testing.damage import bomb_bytes
from mmdata.testing.media import flac_bytes, png_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import silence


@pytest.mark.parametrize(("decoded_bytes", "refused"), [(HARMLESS_BYTES, False), (HARMLESS_BYTES + 1, True)])
def test_little_may_come_from_next_to_nothing(decoded_bytes: int, refused: bool) -> None:
    if refused:
        with pytest.raises(DecodeError, match=r"its 10 bytes would become 67,108,865, .* and max_expansion is 1,000"):
            expands_within(decoded_bytes, b"0123456789", 1000.0)
    else:
        expands_within(decoded_bytes, b"0123456789", 1000.0)


@pytest.mark.parametrize(("limit", "refused"), [(2.0, False), (1.9, True)])
def test_the_limit_itself_is_allowed(limit: float, refused: bool) -> None:
    data = bytes(HARMLESS_BYTES)
    if refused:
        with pytest.raises(DecodeError, match="2 times as many"):
            expands_within(2 * HARMLESS_BYTES, data, limit)
    else:
        expands_within(2 * HARMLESS_BYTES, data, limit)


def test_a_picture_that_would_blow_up_is_refused_by_its_header() -> None:
    bomb = Blob.of(bomb_bytes(6000), name="a.png")  # 36 megapixels of black in a few kilobytes, under max_pixels
    with pytest.raises(DecodeError, match="max_expansion is 10,000"):
        DecodeImage().map(bomb)
    decoded = DecodeImage(max_expansion=1e9).map(bomb)
    assert decoded.width == 6000
    assert decoded.origin is None  # the default decoder would refuse these bytes: they are not kept as they are


def test_sound_that_would_blow_up_is_refused_by_its_header() -> None:
    quiet = flac_bytes(Audio(silence(seconds=1200, rate_hz=48_000).samples, 48_000))
    with pytest.raises(DecodeError, match="max_expansion is 100"):
        DecodeAudio(max_expansion=100.0).map(Blob.of(quiet))


def test_ordinary_media_are_far_below() -> None:
    blob = Blob.of(png_bytes(picture(300, 200)))
    assert DecodeImage(max_expansion=2.0).map(blob).origin is blob

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.decoders import decode
from mmdata.codec.encode import encode, encodes, encoding_fault, is_lossy
from mmdata.core.arrays import ArraySpec
from mmdata.core.ports import Encoded
from mmdata.core.sample import Array, Audio, Blob, Frames, Image, Part, Text, Video
from mmdata.core.spans import SpaceMap, TimeMap
from mmdata.errors import ConfigError, DataError
from mmdata.testing.contracts.steps import digest
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import jpeg_bytes, mp4_bytes, wav_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import noise, silence, tone

PICTURE = picture(47, 31)
GREY = Image(PICTURE.pixels[..., :1].copy())
TURNED = Image(PICTURE.pixels, orientation=6)
MOVED = Image(PICTURE.pixels, space_map=SpaceMap().cropped(left=3, top=4))
STEREO = noise(0.1, channels=2, level_db=-3)  # some samples are clipped
FILM = moving_shapes(n_frames=3, width=32, height=24)[0]

CASES: list[tuple[Part, str, str]] = [
    *((part, way, way[:4]) for part in (PICTURE, GREY, TURNED, MOVED) for way in ("png", "jpeg:90", "webp:80")),
    *((part, "auto", "png") for part in (PICTURE, GREY, TURNED)),
    *((part, way, "wav") for part in (STEREO, silence(0.0), tone(0.1)) for way in ("auto", "wav", "wav:16", "wav:32")),
    *((part, way, "flac") for part in (STEREO, tone(0.1)) for way in ("flac", "flac:16", "flac:24")),
    *((FILM, way, extension) for way, extension in (("auto", "mkv"), ("ffv1", "mkv"), ("h264:23", "mp4"))),
    *((Text(text), way, "txt") for text in ("", "żółw\r\n", "\ufeffmarked") for way in ("auto", "txt")),
]  # fmt: skip


def told(part: Part) -> str:
    """All that a part holds but its origin."""
    fields = {name: value for name, value in vars(part).items() if name != "origin"}
    return digest(fields)


@pytest.mark.parametrize(
    ("part", "encoding", "extension"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_as_read_is_what_decoding_the_bytes_gives(part: Part, encoding: str, extension: str) -> None:
    stored = encode(part, encoding)
    assert stored.extension == {"jpeg": "jpg"}.get(extension, extension)
    assert stored.blob.size == len(stored.blob.data())
    assert told(stored.as_read) == told(decode(stored.blob, type(part)))
    if not isinstance(part, Frames):
        assert getattr(stored.as_read, "origin", None) is stored.blob


@pytest.mark.parametrize(
    ("part", "encoding", "extension"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_same_part_gives_the_same_bytes(part: Part, encoding: str, extension: str) -> None:
    assert encode(part, encoding).blob.data() == encode(part, encoding).blob.data()


@pytest.mark.parametrize(
    "part", [PICTURE, TURNED, STEREO, FILM, Text("żółw\r\n")], ids=lambda part: type(part).__name__
)
def test_auto_keeps_a_changed_part_to_the_last_bit(part: Part) -> None:
    assert told(encode(part, "auto").as_read) == told(part)


def test_maps_are_not_in_the_bytes() -> None:
    read = encode(MOVED, "png").as_read
    assert isinstance(read, Image)
    assert read.space_map.is_identity
    cut = encode(Audio(STEREO.samples, 16000, TimeMap.identity(9).cut(1, 2)), "wav").as_read
    assert isinstance(cut, Audio)
    assert cut.time_map is None


@pytest.mark.parametrize("encoding", ["auto", "copy"])
@pytest.mark.parametrize(
    ("data", "kind", "extension"),
    [
        (jpeg_bytes(picture()), Image, "jpg"),
        (wav_bytes(tone(0.1)), Audio, "wav"),
        (b"{}", Text, "txt"),
        (mp4_bytes(FILM), Video, "mp4"),
    ],
)
def test_an_untouched_part_keeps_its_own_bytes(encoding: str, data: bytes, kind: type, extension: str) -> None:
    blob = Blob.of(data, name="misnamed.xyz")
    part = decode(blob, kind)
    stored = encode(part, encoding)
    assert (stored.blob, stored.extension, stored.as_read) == (blob, extension, part)


@pytest.mark.parametrize(
    ("data", "extension"),
    [(b"", "bin"), (b"\0\1", "bin"), (b'{"a": 1}', "json"), (b"fLaC", "flac"), (b"GIF89a", "gif"), (b"PK\3\4", "bin")],
)
def test_bytes_that_were_never_decoded_are_kept(data: bytes, extension: str) -> None:
    blob = Blob.of(data)
    assert encode(blob, "auto") == Encoded(blob, extension, blob)


def test_copy_refuses_what_was_changed() -> None:
    with pytest.raises(DataError, match="`copy` keeps own bytes, and this image was changed"):
        encode(PICTURE, "copy")


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="`flac` is for Audio parts, not Image"):
        encode(PICTURE, "flac")
    with pytest.raises(ConfigError, match="`png` needs a decoded part: put its decoder in `ingest`"):
        encode(Blob.of(b"abc"), "png")
    with pytest.raises(DataError, match="a changed array can't be stored yet"):
        encode(Array(np.zeros(3, np.float32), ArraySpec(dims=("x",))), "auto")


@pytest.mark.parametrize(
    ("part", "encoding", "message"),
    [
        (Audio(np.full((1, 9), np.nan, np.float32), 8000), "wav", "a NaN or an infinity"),
        (Audio(np.zeros((1, 9)), 8000), "flac", "must be float32"),
        (Audio(np.zeros(9, np.float32), 8000), "wav", "must be float32"),
        (silence(0.0), "flac", "sound without samples can't be stored as FLAC"),
        (silence(0.1, channels=9), "flac", "FLAC can't hold 9 channels at 16000 Hz"),
        (Image(np.zeros((2, 2, 4), np.uint8)), "png", r"not uint8 \(2, 2, 4\)"),
        (Image(np.zeros((0, 2, 3), np.uint8)), "png", r"not uint8 \(0, 2, 3\)"),
        (Image(np.zeros((1, 65536, 3), np.uint8)), "jpeg:9", "OpenCV can't write 65536x1 pixels as .jpg"),
        (Image(np.zeros((1, 16384, 3), np.uint8)), "webp:9", "OpenCV can't write 16384x1 pixels as .webp"),
    ],
)
def test_what_can_not_be_written_is_a_fault_of_its_sample(part: Part, encoding: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode(part, encoding)


@pytest.mark.parametrize(("encoding", "bits"), [("flac", 16), ("wav:16", 16), ("flac:24", 24)])
def test_samples_are_rounded_to_the_nearest_level_and_clipped(encoding: str, bits: int) -> None:
    level = 1 / (1 << bits - 1)
    wave = np.array([[0, 0.4 * level, 0.6 * level, -0.6 * level, 1.0, -1.0, 1.5, -7.0]], np.float32)
    read = encode(Audio(wave, 8000), encoding).as_read
    assert isinstance(read, Audio)
    expected = np.array([[0, 0, level, -level, 1 - level, -1, 1 - level, -1]], np.float32)
    assert np.array_equal(read.samples, expected)


@pytest.mark.parametrize("encoding", ["flac", "wav:16"])
def test_storing_again_changes_nothing_more(encoding: str) -> None:
    once = encode(STEREO, encoding)
    again = encode(Audio(once.as_read.samples, 16000), encoding)  # type: ignore[union-attr]
    assert again.blob.data() == once.blob.data()


def test_other_libraries_read_what_is_written() -> None:
    for encoding in ("png", "jpeg:95", "webp:95"):
        stored = encode(TURNED, encoding)
        with PIL.Image.open(io.BytesIO(stored.blob.data())) as file:
            assert file.getexif()[274] == 6
            assert np.abs(np.asarray(file.convert("RGB")).astype(int) - PICTURE.pixels).mean() < 6
    for encoding in ("wav", "flac:24"):
        read, rate_hz = soundfile.read(io.BytesIO(encode(tone(0.1), encoding).blob.data()), dtype="float32")
        assert rate_hz == 16000
        np.testing.assert_allclose(read, tone(0.1).samples[0], atol=2**-23)


def test_quality_is_heard_of() -> None:
    sizes = [encode(PICTURE, f"{name}:{quality}").blob.size for name in ("jpeg", "webp") for quality in (1, 50, 100)]
    assert sizes[:3] == sorted(sizes[:3])
    assert sizes[3:] == sorted(sizes[3:])
    assert encode(FILM, "h264:0").blob.size > encode(FILM, "h264:51").blob.size


@pytest.mark.parametrize(
    "encoding", ["auto", "copy", "reference", "png", "jpeg:1", "jpeg:100", "webp:50", "flac", "flac:24"]
)
def test_sound_names_have_no_fault(encoding: str) -> None:
    assert encoding_fault(encoding) is None


@pytest.mark.parametrize(
    ("encoding", "fault"),
    [
        ("jpg:90", "no encoding 'jpg:90', did you mean 'jpeg:90'?"),
        ("falc", "no encoding 'falc', did you mean 'flac'?"),
        ("atuo", "no encoding 'atuo', did you mean 'auto'?"),
        ("zzz", "no encoding 'zzz'; there are ffv1, flac, h264, jpeg, png, txt, vtt, wav, webp"),
        ("", "no encoding ''; there are ffv1, flac, h264, jpeg, png, txt, vtt, wav, webp"),
        ("jpeg", "'jpeg': the quality must be from 1 to 100"),
        ("jpeg:0", "'jpeg:0': the quality must be from 1 to 100"),
        ("jpeg:101", "'jpeg:101': the quality must be from 1 to 100"),
        ("jpeg:9.5", "'jpeg:9.5': the quality must be from 1 to 100"),
        ("jpeg:²", "'jpeg:²': the quality must be from 1 to 100"),
        ("png:3", "'png:3': png takes no quality"),
        ("flac:8", "'flac:8': the quality must be 16 or 24"),
        ("wav:", "'wav:': the quality must be 16 or 32"),
        ("h264:52", "'h264:52': the quality must be from 0 to 51"),
    ],
)
def test_a_fault_in_a_name_is_told_with_a_guess(encoding: str, fault: str) -> None:
    assert encoding_fault(encoding) == fault
    with pytest.raises(ConfigError):
        encodes(encoding)
    with pytest.raises(ConfigError):
        is_lossy(encoding)


@pytest.mark.parametrize(
    ("encoding", "kind", "lossy"),
    [
        ("auto", None, False),
        ("copy", None, False),
        ("reference", None, False),
        ("png", Image, False),
        ("jpeg:100", Image, True),
        ("webp:100", Image, True),
        ("wav", Audio, False),
        ("wav:32", Audio, False),
        ("wav:16", Audio, True),
        ("flac", Audio, True),
        ("flac:24", Audio, True),
        ("ffv1", Frames, False),
        ("h264:0", Frames, True),
        ("txt", Text, False),
    ],
)
def test_an_encoding_says_what_it_is_for_and_whether_it_loses(encoding: str, kind: type | None, lossy: bool) -> None:
    assert (encodes(encoding), is_lossy(encoding)) == (kind, lossy)


@given(st.text(max_size=12))
def test_any_name_has_a_fault_or_none(encoding: str) -> None:
    fault = encoding_fault(encoding)
    assert fault is None or repr(encoding) in fault

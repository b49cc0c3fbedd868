from __future__ import annotations

import subprocess
import sys

import pytest

from mmdata.codec.decoders import DECODERS, decode, decoder_name
from mmdata.core.sample import Array, Audio, Blob, Captions, Frames, Image, Text, Video
from mmdata.core.step import Map

Made = dict[str, bytes]


def test_every_kind_of_part_that_bytes_can_be_has_a_decoder() -> None:
    assert set(DECODERS) == {Text, Captions, Image, Audio, Video}
    for kind, step in DECODERS.items():
        assert issubclass(step, Map)
        assert (step.takes, step.gives) == (Blob, kind)


def test_decoding_by_kind_gives_that_kind(pictures: Made, sounds: Made, films: Made) -> None:
    for data, kind in ((pictures["png"], Image), (sounds["ogg"], Audio), (films["mkv"], Video), (films["mp4"], Frames)):
        assert isinstance(decode(Blob.of(data), kind), kind)
    blob = Blob.of(b"anything")
    assert decode(blob, Blob) is blob


def test_a_kind_that_bytes_are_not_is_refused() -> None:
    with pytest.raises(TypeError, match="no decoder gives Array; Audio, Captions, Image, Text, Video are decoded"):
        decode(Blob.of(b""), Array)


def test_importing_every_decoder_and_encoder_loads_no_codec() -> None:
    heavy = "cv2", "av", "soundfile", "scipy", "PIL"
    code = f"import sys, mmdata.codec.decoders, mmdata.codec.encode; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Image, "codec.image.DecodeImage"), (Audio, "codec.audio.DecodeAudio"), (Frames, "codec.video.DecodeFrames")],
)
def test_a_decoder_is_called_as_in_a_pipeline(kind: type, name: str) -> None:
    assert decoder_name(kind) == name

"""Formats that are told by a mark of their own or recognized by FFmpeg, and those that must never be."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec.audio import DecodeAudio
from mmdata.codec.containers import cut_short, ffmpeg_errors
from mmdata.codec.decoders import decode
from mmdata.codec.demuxers import DEMUXERS, PROBED, container_type, is_read, open_container
from mmdata.codec.sniff import UNKNOWN, media_type, modality_of_name
from mmdata.codec.video import OpenVideo
from mmdata.core.sample import Blob, Frames
from mmdata.errors import DecodeError
from mmdata.testing.sounds import tone

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

MUSEPACK = Path(__file__).parent / "data" / "tone.mpc"
BY_LIBSNDFILE = {
    "audio/x-nist": ("NIST", "PCM_16"),
    "audio/x-voc": ("VOC", "PCM_16"),
    "audio/x.avr": ("AVR", "PCM_16"),
    "audio/x.epaf": ("PAF", "PCM_16"),
    "audio/x.ircam": ("IRCAM", "PCM_16"),
    "audio/x.pvf": ("PVF", "PCM_16"),
}
SOUNDS_BY_FFMPEG = {
    "audio/vnd.rn-realmedia": ("rm", "ac3", 48000),
    "audio/x.adx": ("adx", "adpcm_adx", 16000),
    "audio/x.ast": ("ast", "pcm_s16be_planar", 16000),
    "audio/x.kvag": ("kvag", "adpcm_ima_ssi", 16000),
    "audio/x.smjpeg": ("smjpeg", "pcm_s16le", 16000),
    "audio/x.sox": ("sox", "pcm_s32le", 16000),
    "video/x-nut": ("nut", "pcm_s16le", 16000),
}
FILMS_BY_FFMPEG: dict[str, tuple[str, str, tuple[int, int], int]] = {
    "video/mxf": ("mxf", "mpeg2video", (64, 48), 24),
    "video/vnd.rn-realmedia": ("rm", "rv10", (176, 144), 24),
    "video/x-dv": ("dv", "dvvideo", (720, 576), 25),
    "video/x-ivf": ("ivf", "libvpx", (64, 48), 24),
    "video/x-nut": ("nut", "mpeg4", (64, 48), 24),
    "video/x-wtv": ("wtv", "mpeg2video", (64, 48), 24),
    "video/x-yuv4mpeg": ("yuv4mpegpipe", "wrapped_avframe", (64, 48), 24),
    "video/x.roq": ("roq", "roqvideo", (64, 64), 30),
}


def by_libsndfile(form: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(0.5, channels=2).samples.T, 16000, format=form, subtype=subtype)
    return file.getvalue()


def sound_by_ffmpeg(form: str, codec: str, rate_hz: int) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate_hz, layout="stereo"))
        frame = av.AudioFrame.from_ndarray(tone(0.5, 440, rate_hz, 2).samples, format="fltp", layout="stereo")
        frame.rate, frame.pts = rate_hz, 0
        context = stream.codec_context
        cut = av.AudioResampler(context.format, "stereo", rate_hz, frame_size=context.frame_size or 0)
        for part in cut.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def film_by_ffmpeg(form: str, codec: str, size: tuple[int, int], fps: int, **options: str) -> bytes:
    """Eight frames; every pixel of frame i has the level 30 i."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact", **options}) as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj444p" if codec == "roqvideo" else "yuv420p"
        stream.codec_context.thread_count = 1
        for at in range(8):
            grey = np.full((size[1], size[0], 3), 30 * at, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def frames_of(data: bytes) -> Frames:
    frames = decode(Blob.of(data), Frames)
    assert isinstance(frames, Frames)
    return frames


def dsd_bits(n_bytes: int) -> np.ndarray:
    """A tone of 440 Hz as one bit at 2.8224 MHz, by error feedback of the second order."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8 * n_bytes) / 2_822_400)
    bits = np.empty(len(wave), np.uint8)
    first = second = 0.0
    for at, value in enumerate(wave.tolist()):
        bits[at] = second >= 0
        step = 1.0 if second >= 0 else -1.0
        first += value - step
        second += first - step
    return bits


def dsf(n_blocks: int = 4) -> bytes:
    bits = dsd_bits(4096 * n_blocks)
    data = np.packbits(bits, bitorder="little").tobytes()
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, 2_822_400, 1, len(bits), 4096, 0)
    body = form + struct.pack("<4sQ", b"data", 12 + len(data)) + data
    return struct.pack("<4sQQQ", b"DSD ", 28, 28 + len(body), 0) + body


def dff(n_bytes: int = 16384) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack(">Q", len(data)) + data

    rate, channels = chunk(b"FS  ", struct.pack(">I", 2_822_400)), chunk(b"CHNL", struct.pack(">H4s", 1, b"C   "))
    kind = chunk(b"CMPR", b"DSD \x0enot compressed\0")
    data = np.packbits(dsd_bits(n_bytes)).tobytes()
    inner = chunk(b"FVER", b"\1\5\0\0") + chunk(b"PROP", b"SND " + rate + channels + kind) + chunk(b"DSD ", data)
    return chunk(b"FRM8", b"DSD " + inner)


def silent_ape(n_samples: int = 8000) -> bytes:
    """Monkey's Audio 3.99 of one frame that says it is silent, as its documentation has the format."""
    head = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, 4, 0, 16, 0, 0, bytes(16))
    form = struct.pack("<HHIIIHHI", 2000, 0, 73728, n_samples, 1, 16, 2, 16000)
    # a checksum whose highest bit says that flags follow: both channels are silent; and what the decoder begins with
    frame = struct.pack("<IIII", 1 << 31, 3, 0, 0)
    return head + form + struct.pack("<I", 52 + 24 + 4) + frame


def svx() -> bytes:
    wave: bytes = (tone(0.5, rate_hz=8000).samples[0] * 127).astype(np.int8).tobytes()
    voice = b"VHDR" + struct.pack(">IIIIHBBI", 20, len(wave), 0, 0, 8000, 1, 0, 65536)
    inner = b"8SVX" + voice + b"BODY" + struct.pack(">I", len(wave)) + wave
    return b"FORM" + struct.pack(">I", len(inner)) + inner


BY_HAND: dict[str, Callable[[], bytes]] = {
    "audio/x-8svx": svx,
    "audio/x-dff": dff,
    "audio/x-dsf": dsf,
    "audio/x-musepack8": MUSEPACK.read_bytes,
}


@pytest.fixture(scope="module")
def heard() -> dict[str, bytes]:
    made = {kind: by_libsndfile(*how) for kind, how in BY_LIBSNDFILE.items()}
    made |= {kind: sound_by_ffmpeg(*how) for kind, how in SOUNDS_BY_FFMPEG.items()}
    return made | {kind: make() for kind, make in BY_HAND.items()}


@pytest.fixture(scope="module")
def shown() -> dict[str, bytes]:
    return {kind: film_by_ffmpeg(*how) for kind, how in FILMS_BY_FFMPEG.items()}


def test_every_sound_is_told_and_gives_the_tone(heard: dict[str, bytes]) -> None:
    for kind, data in heard.items():
        assert container_type(data) == kind
        assert media_type(data) == (UNKNOWN if "/x." in kind else kind)
        assert cut_short(data, kind) is None, kind
        audio = DecodeAudio().map(Blob.of(data))
        wave = audio.samples[0, audio.n_samples // 4 : 3 * audio.n_samples // 4]
        peak = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave))[1:]).argmax() + 1
        assert abs(peak * audio.rate_hz / (8 * len(wave)) - 440) < 15, kind


def test_every_film_is_told_and_gives_its_frames(shown: dict[str, bytes]) -> None:
    for kind, data in shown.items():
        fps = FILMS_BY_FFMPEG[kind][3]
        assert container_type(data) == kind
        assert OpenVideo().map(Blob.of(data)).fps == pytest.approx(fps, rel=0.01), kind
        frames = frames_of(data)
        assert len(frames.pixels) == 8, kind
        np.testing.assert_allclose(frames.pixels[:, 8, 8, 0], 30 * np.arange(8), atol=6, err_msg=kind)
        np.testing.assert_allclose(np.diff(frames.times_s), 1 / fps, atol=0.002, err_msg=kind)


def test_a_silent_frame_of_monkeys_audio_is_read() -> None:
    audio = DecodeAudio().map(Blob.of(silent_ape()))
    assert (audio.samples.shape, audio.rate_hz) == ((2, 8000), 16000)
    assert not audio.samples.any()


def test_transport_streams_of_discs_have_packets_of_192_bytes() -> None:
    data = film_by_ffmpeg("mpegts", "libx264", (64, 48), 24, mpegts_m2ts_mode="1")
    assert media_type(data) == "video/mp2t"
    assert len(frames_of(data).pixels) == 8


def test_a_transport_stream_may_begin_within_a_packet() -> None:
    data = film_by_ffmpeg("mpegts", "libx264", (64, 48), 24)
    assert container_type(data[100:]) == "video/x.mpegts"
    assert media_type(data[100:]) == UNKNOWN


@pytest.mark.parametrize("kind", ["audio/x-8svx", "audio/x-dff", "audio/x-dsf"])
def test_one_byte_less_is_cut_short(kind: str) -> None:
    data = BY_HAND[kind]()
    assert cut_short(data[:-1], kind)
    with pytest.raises(DecodeError, match="cut short"):
        DecodeAudio().map(Blob.of(data[:-1]))
    assert DecodeAudio(strict=False).map(Blob.of(data[:-1])).n_samples > 0


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"MAC \x96\x0f", "audio/x-ape"),
        (b"MP+\x07", "audio/x-musepack"),
        (b"tBaK\0\x18", "audio/x-tak"),
        (b"ajkg\x02\xfb", "audio/x-shorten"),
        (b"\x7f\xfe\x80\x01\xfc", "audio/vnd.dts"),
        (b"DTSHDHDR\0", "audio/vnd.dts.hd"),
        (b"\xc0\x04\x12\x34\xf8\x72\x6f\xba", "audio/x-truehd"),
        (b"\xc0\x04\x12\x34\xf8\x72\x6f\xbb", "audio/x-mlp"),
        (b"TWIN97012000\0", "audio/x-twinvq"),
        (b"EA3\x01\0\x60", "audio/x-oma"),
        (b"qoaf\0\0", "audio/x-qoa"),
        (b"RIFF\0\0\0\0QLCMfmt ", "audio/qcelp"),
        (b"RIFF\0\0\0\0XWMAfmt ", "audio/x-xwma"),
        (b"NSVf\0\0", "video/x-nsv"),
    ],
)
def test_what_no_encoder_here_writes_is_told_and_has_demuxer_and_decoder(head: bytes, kind: str) -> None:
    import av

    assert media_type(head) == kind
    av.format.ContainerFormat(DEMUXERS[kind], "r")
    usual = {"ape": "ape", "musepack": "mpc7", "tak": "tak", "shorten": "shorten", "dts": "dca", "hd": "dca"}
    named = kind.rpartition(".")[2].rpartition("-")[2].rpartition("/")[2]
    others = {"oma": "atrac3plus", "nsv": "vp3", "xwma": "wmav2"}
    av.codec.Codec({**usual, **others}.get(named, named), "r")


def test_every_demuxer_is_there() -> None:
    import av

    assert all(av.format.ContainerFormat(name, "r").is_input for name in (*DEMUXERS.values(), *PROBED))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"MAC addresses, and how they are given", "text/plain"),
        (b"MP+7 is what he said", "text/plain"),
        (b"tBaK qoaf MPCK NSVf", "text/plain"),
        (b"The free encyclopedia, and the wide world", "text/plain"),
        (b"ID3 is a tag", "text/plain"),
        (b"GATTACA" * 600, "text/plain"),
    ],
)
def test_words_are_no_marks(data: bytes, kind: str) -> None:
    assert media_type(data) == kind


def test_what_follows_a_tag_is_what_a_file_is(sounds: dict[str, bytes]) -> None:
    for size in (20, 9000):
        tag = b"ID3\4\0\0\0\0" + bytes([size >> 7, size & 0x7F]) + bytes(size)
        for name in ("flac", "tta", "aac"):
            audio = DecodeAudio().map(Blob.of(tag + sounds[name]))
            assert audio.duration_s == pytest.approx(DecodeAudio().map(Blob.of(sounds[name])).duration_s), (name, size)


@pytest.mark.parametrize(("form", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("m4v", "mpeg4")])
def test_bare_pictures_have_no_clock_and_are_refused_by_name(form: str, codec: str) -> None:
    data = film_by_ffmpeg(form, codec, (64, 48), 24)
    with pytest.raises(DecodeError, match=r"it holds a bare (H\.264|HEVC|MPEG-4) stream"):
        OpenVideo().map(Blob.of(data))


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\na=control:{url}\n",
    "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period>"
    "<AdaptationSet><Representation id='1'><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "imf": "<?xml version='1.0'?><CompositionPlaylist><Id>{url}</Id></CompositionPlaylist>",
    "rtsp": "[Reference]\nRef1={url}\n",
    "lavfi": "amovie={url}",
    "sbg": "base: 100+2/90\nNOW base\n{url}\n",
}


@pytest.mark.parametrize("name", ["a.m3u8", "a.ffconcat", "a.sdp", "a.mpd", "a.wav", "frame%03d.png", "a"])
def test_lists_of_other_files_are_refused_by_name_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(by_libsndfile("WAV", "PCM_16"))
    (tmp_path / "frame001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for text in LISTS.values():
            for url in (f"http://127.0.0.1:{port}/a.ts", f"{tmp_path}/secret.wav"):
                for ending in ("", "\0", "\x01\xff"):  # what makes the bytes no text, so that FFmpeg is asked
                    path = tmp_path / name
                    path.write_bytes((text.format(url=url, port=port) + ending).encode("latin-1"))
                    with path.open("rb") as file:
                        assert not is_read(container_type(file))
                    blob = Blob.of(path.read_bytes(), name=name)
                    with pytest.raises(DecodeError, match="no sound that is decoded here: it"):
                        DecodeAudio().map(blob)
                    with pytest.raises(DecodeError, match="no film that is decoded here: it"):
                        OpenVideo().map(blob)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_left_to_itself_ffmpeg_would_take_them(tmp_path: Path) -> None:
    """What the test above is worth."""
    import av

    (tmp_path / "secret.wav").write_bytes(by_libsndfile("WAV", "PCM_16"))
    text = LISTS["concat"].format(url=f"{tmp_path}/secret.wav").encode()
    with av.open(io.BytesIO(text), "r", options={"safe": "0"}) as container:
        assert next(container.decode(audio=0)).samples > 0
    for kind in ("audio/x.concat", "video/x.hls"):
        with pytest.raises(DecodeError), ffmpeg_errors(), open_container(text, kind):
            pass


@pytest.mark.parametrize("name", ["concat", "dash", "hls", "image2", "imf", "lavfi", "rtp", "rtsp", "sdp", "tee"])
def test_demuxers_that_open_others_are_never_chosen(name: str) -> None:
    assert name not in PROBED
    assert name not in DEMUXERS.values()


@given(data=st.binary(max_size=3000), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_numbers_and_noise_are_nothing(data: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=5000))
    for each in (bytes(64) + data, walk.astype("<f4").tobytes(), (100 * walk).astype("<i2").tobytes()):
        assert container_type(each) == media_type(each)


def test_a_folder_takes_them_up() -> None:
    names = {"a.ape": "audio", "a.sph": "audio", "a.dsf": "audio", "a.MPC": "audio", "a.mxf": "video", "a.y4m": "video"}
    assert {name: modality_of_name(name) for name in names} == names


@pytest.mark.parametrize("kind", ["audio/x-nist", "audio/x-dsf", "audio/x.sox", "audio/x-musepack8"])
def test_damage_gives_a_part_or_a_reason(kind: str, heard: dict[str, bytes], capfd: Any) -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        data = bytearray(heard[kind][: int(rng.integers(1, len(heard[kind])))])
        for at in rng.integers(0, len(data), 3).tolist():
            data[at] = int(rng.integers(256))
        try:
            assert np.isfinite(DecodeAudio(strict=False).map(Blob.of(bytes(data))).samples).all()
        except DecodeError:
            continue
    assert capfd.readouterr().err == ""

"""Films whose motion and cuts are known."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np

from mmdata.core.sample import Audio, Frames
from mmdata.testing.pictures import drift, shape

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

N_BITS = 10  # of the numbers that frames show


def moving_shapes(
    n_frames: int = 8,
    width: int = 160,
    height: int = 120,
    *,
    fps: float = 8.0,
    camera_px: tuple[float, float] = (0.0, 0.0),
    shape_px: tuple[float, float] = (3.0, 1.0),
    radius_px: float = 0.0,
    seed: int = 0,
) -> tuple[Frames, np.ndarray]:
    """A textured disc that moves over a textured ground.

    Args:
        n_frames: how many.
        width: of each, in pixels.
        height: of each, in pixels.
        fps: frames a second, which sets only their times.
        camera_px: how the ground moves from frame to frame, right and down.
        shape_px: how the disc moves.
        radius_px: its radius; 0 is no disc, so that one motion fills the frame.
        seed: of the textures.

    Returns:
        The frames (the first alone is a keyframe), and the exact flow, float32 [pair, row, column, xy]: where each
        pixel of a frame goes in the next, in pixels.
    """
    pixels = np.empty((n_frames, height, width, 3), np.uint8)
    flow = np.empty((n_frames, height, width, 2), np.float32)
    for index in range(n_frames):
        pixels[index] = drift(width, height, shift_px=(camera_px[0] * index, camera_px[1] * index), seed=seed)
        flow[index] = camera_px
        moved = (shape_px[0] * index, shape_px[1] * index)
        if radius_px > 0:
            center = (width * 0.4 + moved[0], height * 0.4 + moved[1])
            inside = shape("disc", width, height, center_px=center, radius_px=radius_px)
            pixels[index][inside] = drift(width, height, shift_px=moved, seed=seed + 1)[inside]
            flow[index][inside] = shape_px
    return Frames(pixels, np.arange(n_frames) / fps, np.arange(n_frames) == 0), flow[:-1]


def shots(
    lengths: tuple[int, ...] = (5, 4, 6), width: int = 96, height: int = 64, *, fps: float = 8.0, seed: int = 0
) -> tuple[Frames, np.ndarray]:
    """Shots that drift slowly, with hard cuts between them.

    Returns:
        The frames (the first of each shot is a keyframe), and int64 [shot], the index of each shot's first frame.
    """
    frames = [
        drift(width, height, shift_px=(0.5 * index, 0.0), seed=seed + 17 * shot)
        for shot, length in enumerate(lengths)
        for index in range(length)
    ]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    times_s = np.arange(len(frames)) / fps
    return Frames(np.stack(frames), times_s, np.isin(np.arange(len(frames)), starts)), starts


def numbered(n_frames: int = 96, width: int = 64, height: int = 48, *, fps: float = 24.0) -> Frames:
    """Frames that show their numbers, as bars that survive any codec: `numbers_of` reads them."""
    bits = (np.arange(n_frames)[:, None] >> np.arange(N_BITS)) & 1
    columns = np.minimum(np.arange(width) * N_BITS // width, N_BITS - 1)
    levels = np.where(bits[:, columns], 215, 40).astype(np.uint8)
    pixels = np.broadcast_to(levels[:, None, :, None], (n_frames, height, width, 3)).copy()
    return Frames(pixels, np.arange(n_frames) / fps, np.arange(n_frames) == 0)


def numbers_of(pixels: np.ndarray) -> list[int]:
    """The numbers that frames of `numbered` show: uint8 [time, height, width, channel] to one each."""
    middle = (2 * np.arange(N_BITS) + 1) * pixels.shape[2] // (2 * N_BITS)
    bits = pixels[:, pixels.shape[1] // 2, middle].mean(axis=-1) > 127
    return [int(number) for number in bits @ (1 << np.arange(N_BITS))]


def film_bytes(
    frames: Frames,
    *,
    fps: int = 24,
    form: str = "mp4",
    codec: str = "libx264",
    gop: int = 12,
    audio: Audio | None = None,
    sound_codec: str = "aac",
    turn_deg: int = 0,
    ticks: np.ndarray | None = None,
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
) -> bytes:
    """A film in any container and codec that FFmpeg has.

    Args:
        frames: what it shows.
        fps: its rate; frame k is shown at k / fps.
        form: FFmpeg's name of the container.
        codec: of the pictures.
        gop: frames from key frame to key frame.
        audio: what it sounds like, from time 0 on.
        sound_codec: of the sound.
        turn_deg: by how much a player is to turn it, counter-clockwise.
        ticks: int [time]: frame k is shown at ticks[k] / fps.
        pix_fmt: FFmpeg's name of how pixels are stored; None is 4:2:0 where sides are even.
        options: of the encoder.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        film = cast(
            "VideoStream",
            container.add_stream(codec, rate=fps, options={"g": str(gop), **_exact(codec), **(options or {})}),
        )
        film.height, film.width = frames.pixels.shape[1:3]
        even = film.height % 2 == 0 == film.width % 2
        film.pix_fmt = pix_fmt or ("bgr0" if codec == "ffv1" else "yuv420p" if even else "yuv444p")
        film.codec_context.thread_count, film.codec_context.gop_size = 1, gop
        if turn_deg:
            film.set_display_rotation(turn_deg)
        sound = None
        if audio is not None:
            layout = "mono" if len(audio.samples) == 1 else "stereo"
            sound = cast("AudioStream", container.add_stream(sound_codec, rate=audio.rate_hz, layout=layout))
        for index, pixels in enumerate(frames.pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = int(index if ticks is None else ticks[index]), Fraction(1, fps)
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
        if audio is not None and sound is not None:
            heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.samples), format="fltp", layout=layout)
            heard.rate, heard.pts, heard.time_base = audio.rate_hz, 0, Fraction(1, audio.rate_hz)
            container.mux(sound.encode(heard))
            container.mux(sound.encode(None))
    return file.getvalue()


def _exact(codec: str) -> Mapping[str, str]:
    """What an encoder needs to give the same bytes each time."""
    return {"mbtree": "0"} if codec == "libx264" else {}


def clicks(times_s: Sequence[float], *, seconds: float, rate_hz: int = 48_000) -> Audio:
    """Short clicks in silence, so that it can be told where sound lies: float32 [1, time]."""
    samples = np.zeros((1, round(seconds * rate_hz)), np.float32)
    wave = 0.8 * np.sin(2 * np.pi * 3000 * np.arange(round(0.004 * rate_hz)) / rate_hz)
    for time_s in times_s:
        first = round(time_s * rate_hz)
        samples[0, first : first + len(wave)] = wave[: samples.shape[1] - first]
    return Audio(samples, rate_hz)


def clicks_of(audio: Audio) -> list[float]:
    """When a sound of `clicks` clicks, in seconds."""
    loud = np.flatnonzero(np.abs(audio.samples).max(axis=0) > 0.25)
    firsts = loud[np.diff(loud, prepend=-(10**9)) > audio.rate_hz // 50] if loud.size else loud
    return [float(first / audio.rate_hz) for first in firsts]


def looped(data: bytes, times: int) -> bytes:
    """A film's pictures so many times over, by copying packets. Pictures are a fixed time apart."""
    import av

    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as film, av.open(file, "w", format="mp4") as made:
        pictures = film.streams.video[0]
        stream = made.add_stream_from_template(pictures)
        packets = [packet for packet in film.demux(pictures) if packet.dts is not None]
        ticks = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        step = ticks[1][1] - ticks[0][1]
        for turn in range(times):
            for packet, (pts, dts) in zip(packets, ticks, strict=True):
                packet.stream = stream
                packet.pts, packet.dts = (tick + turn * len(packets) * step for tick in (pts, dts))
                made.mux(packet)
    return file.getvalue()

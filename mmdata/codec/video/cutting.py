"""Clips of a film: packets copied between key frames, or frames and sound encoded anew, both on one clock."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mmdata.codec.containers import ffmpeg_errors
from mmdata.codec.tracks import packets_of, resampled, sound_frames
from mmdata.codec.video import tally
from mmdata.codec.video.h264 import is_idr
from mmdata.codec.video.hearing import JITTER_S, broken
from mmdata.codec.video.opening import TIMED, average_rate, kind_of, opened, picture_track, start_s
from mmdata.codec.video.scaling import Scaler
from mmdata.codec.video.showing import Showing
from mmdata.core.sample import Blob, Pointer, Video
from mmdata.core.spans import Span
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Method = Literal["copy", "encode"]
_SOUGHT_S, _INTERLEAVED_S = 3, 10  # read so much earlier and longer: tracks do not lie side by side to the frame
_INDEXED = ("video/mp4", "video/quicktime", "video/3gpp", "video/x-matroska", "video/webm")  # others are read through
_OWN = {"video/quicktime": "mov", "video/x-flv": "flv", "video/x-ms-asf": "asf"}  # others go to MP4, or to Matroska
_IN_MP4 = {
    "h264",
    "hevc",
    "mpeg4",
    "av1",
    "vp9",
    "mpeg2video",
    "mjpeg",
    "aac",
    "mp3",
    "opus",
    "flac",
    "ac3",
    "eac3",
    "alac",
}
_AAC_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
# x264 decides by memory that it never wrote where mbtree is on: the same frames gave other bytes, one time in ten
_ENCODER = {"preset": "veryfast", "mbtree": "0"}


def key_times(video: Video) -> list[Fraction]:
    """When the film's key frames are shown, rising: where copying may begin. Nothing is decoded.

    Of H.264 these are IDR pictures, as long as there is one after the first frame: at other I-frames some players, and
    browsers among them, give up, as later frames let go of references that are not there.
    """
    with opened(video) as container:
        stream = picture_track(container)
        start = start_s(container, stream)
        told = (stream.codec_context.extradata or b"") if stream.codec_context.name == "h264" else None
        named = [
            (max(time, Fraction(0)), told is not None and is_idr(bytes(packet), told))
            for packet in packets_of(container, stream)
            if packet.is_keyframe and (time := _time_s(packet, start)) is not None
        ]
    anew = {time for time, is_new in named if is_new}
    return sorted(anew if len(anew) > 1 else {time for time, _ in named})


def is_copied(video: Video) -> bool:
    """Whether packets can be copied: of formats that say of each frame when it is shown."""
    return kind_of(video) in TIMED


def clip(video: Video, span: Span, *, method: Method, crf: int = 18, strict: bool = True) -> Video:
    """A stretch of a film as a film of its own, cut when its bytes are first asked for.

    Args:
        video: the film.
        span: on the film's own clock. To be copied, it has to begin at one of `key_times`, and should end at one.
        method: "copy" takes packets as they are, of the pictures and the first sound track, in MP4 or what else can
            hold them; a film that `is_copied` says no of is encoded. Frames of an open group that are shown before its
            key frame, but made from it, are left out at the end of what comes before. "encode" gives exactly the frames
            shown from `span.start_s` on, as H.264 in MP4 with 8 bits, at their own times, upright and with square
            pixels, and the sound as AAC.
        crf: of "encode", from 0 (best) to 51.
        strict: refuse to encode damage within the span. Else pictures are as FFmpeg mends them, and sound is silent.

    Returns:
        The clip, whose time map leads back to the source. Its bytes raise DecodeError where they can't be made.
    """
    if not is_copied(video):
        method = "encode"
    share = float(span.length_s) / video.duration_s if video.duration_s > 0 else 1.0
    make = partial(_copied, video, span) if method == "copy" else partial(_encoded, video, span, crf, strict)
    pointer = Pointer(f"{video.blob.pointer}@{float(span.start_s):.3f}-{float(span.end_s):.3f}")
    blob = Blob(pointer, int(video.blob.size * min(share, 1.0)), make, video.blob.name)
    made = replace(
        video,
        blob=blob,
        duration_s=float(span.length_s),
        n_frames=None,
        time_map=video.clock.cut(span.start_s, span.end_s),
    )
    return made if method == "copy" else replace(made, rotation_deg=0, codec="h264")


def _time_s(packet: Packet[Any], start: Fraction) -> Fraction | None:
    at = packet.dts if packet.pts is None else packet.pts
    return None if at is None or packet.time_base is None else at * packet.time_base - start


def _copied(video: Video, span: Span) -> bytes:
    import av

    kind = kind_of(video)
    file = io.BytesIO()
    with opened(video) as container:
        picture = picture_track(container)
        start = start_s(container, picture)
        tracks: list[Stream] = [picture, *_sound_tracks(container)]
        if kind in _INDEXED:
            _seek(container, picture, span.start_s - _SOUGHT_S + start)
        fits = all(track.codec_context.name.removeprefix("lib") in _IN_MP4 for track in tracks)
        form = _OWN.get(kind, "mp4" if fits else "matroska")
        with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as made:
            into = {track.index: made.add_stream_from_template(cast("VideoStream", track)) for track in tracks}
            early = form in ("mp4", "mov")  # whose edit lists hide the rest of a packet that began before
            packets = _between(packets_of(container, *tracks), span, start, picture.index, early=early)
            for packet in _with_dts(packets, picture):
                shift = round((span.start_s + start) / packet.time_base)
                packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
                packet.dts -= shift
                packet.stream = into[packet.stream.index]
                made.mux(packet)
    return file.getvalue()


def _with_dts(packets: Iterator[Any], picture: VideoStream) -> Iterator[Any]:
    """Packets that all say when they are to be decoded: Matroska does not, and FFmpeg does not know it of the first."""
    step = round(1 / (Fraction(picture.average_rate or 25) * (picture.time_base or Fraction(1, 1000))))
    waiting: list[Any] = []
    for packet in packets:
        if packet.stream.index != picture.index or (packet.dts is not None and not waiting):
            packet.dts = packet.pts if packet.dts is None else packet.dts
            yield packet
            continue
        waiting.append(packet)
        if packet.dts is not None:
            yield from _dated(waiting, packet.dts, step)
            waiting = []
    yield from _dated(waiting, min((packet.pts for packet in waiting), default=0), step)


def _dated(packets: list[Any], last: int, step: int) -> Iterator[Any]:
    """A run of packets, the last of which is decoded at a known tick."""
    for behind, packet in zip(range(len(packets) - 1, -1, -1), packets, strict=True):
        packet.dts = last - behind * max(1, step)
        yield packet


def _between(
    packets: Iterator[Packet[Any]], span: Span, start: Fraction, picture: int, *, early: bool
) -> Iterator[Any]:
    """The packets of what is shown and heard within a span; of pictures, from the first key frame on.

    Of sound, `early` takes the packet, too, that is heard when the span begins.

    Raises:
        DecodeError: there is no key frame.
    """
    begun = ended = False
    sounds: list[Packet[Any]] = []
    for packet in packets:
        time = _time_s(packet, start)
        if time is None:
            continue
        if time > span.end_s + _INTERLEAVED_S:
            break
        half_tick = packet.time_base / 2
        is_sound = packet.stream.index != picture
        ended = ended or (not is_sound and packet.is_keyframe and time >= span.end_s - half_tick)
        if ended and not is_sound:
            continue  # made from a key frame that the next clip has
        lasts_s = (packet.duration or 0) * packet.time_base if is_sound and early else 0
        # what is heard at the start began before
        if not span.start_s - half_tick <= time + lasts_s or not time < span.end_s - half_tick:
            continue
        if is_sound and not begun:
            sounds.append(packet)  # a track of sound alone is no film: pictures come first
            continue
        if not begun and not packet.is_keyframe:
            continue
        if not begun:
            begun = True
            yield from sounds
        yield packet
    if not begun:
        raise DecodeError(f"there is no key frame from {float(span.start_s):.3f} to {float(span.end_s):.3f} s")


def _encoded(video: Video, span: Span, crf: int, strict: bool) -> bytes:
    import av

    file = io.BytesIO()
    with ffmpeg_errors(), ExitStack() as written:
        made = written.enter_context(av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}))
        with opened(video) as pictures, opened(video) as sounds:
            source, heard = picture_track(pictures), next(iter(_sound_tracks(sounds)), None)
            even = video.width % 2 == 0 and video.height % 2 == 0
            picture = _picture_into(made, source, video, "yuv420p" if even else "yuv444p", crf)
            sound = None if heard is None else _sound_into(made, heard)
            start = start_s(pictures, source)
            n_frames = 0
            for time_s, frame in _shown(pictures, source, span, video, strict=strict):
                n_frames += 1
                made.mux(picture.encode(_timed(_pictured(frame, video, str(picture.pix_fmt)), time_s, source)))
            if not n_frames:
                raise DecodeError(f"no frame is shown from {float(span.start_s):.3f} to {float(span.end_s):.3f} s")
            made.mux(picture.encode(None))
            if heard is not None and sound is not None:
                for heard_frame in _heard(sounds, heard, span, start, sound, strict=strict):
                    made.mux(sound.encode(heard_frame))
                tally.count_sound(video.blob, sounds.streams.audio.index(heard))
                made.mux(sound.encode(None))
    return file.getvalue()


def _sound_tracks(container: InputContainer) -> list[AudioStream]:
    """The first sound track that FFmpeg knows, if there is one."""
    return [track for track in container.streams.audio if track.codec_context is not None][:1]


def _picture_into(made: OutputContainer, source: VideoStream, video: Video, pix_fmt: str, crf: int) -> VideoStream:
    from av.codec.context import Flags

    stream = made.add_stream("libx264", rate=average_rate(source) or 25, options={"crf": str(crf), **_ENCODER})
    stream.width, stream.height, stream.pix_fmt = video.width, video.height, pix_fmt
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.bitexact
    stream.codec_context.time_base = stream.time_base = source.time_base or Fraction(1, 90_000)
    if not video.rotation_deg:
        stream.codec_context.color_range = source.codec_context.color_range
        stream.codec_context.colorspace = source.codec_context.colorspace
    return stream


def _sound_into(made: OutputContainer, heard: AudioStream) -> AudioStream:
    from av.codec.context import Flags

    context = heard.codec_context
    rate_hz = context.sample_rate if context.sample_rate in _AAC_HZ else 48_000
    stream = made.add_stream("aac", rate=rate_hz, layout="mono" if context.channels == 1 else "stereo")
    stream.bit_rate = 80_000 * stream.codec_context.channels
    stream.codec_context.flags |= Flags.bitexact
    return stream


def _seek(container: InputContainer, stream: Stream, at_s: Fraction) -> None:
    if at_s > 0 and stream.time_base:
        container.seek(int(at_s / stream.time_base), stream=stream)


def _shown(
    container: InputContainer, stream: VideoStream, span: Span, video: Video, *, strict: bool
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The frames shown within a span, each with its time in the clip; the first one from the clip's beginning on."""
    if kind_of(video) in _INDEXED:
        _seek(container, stream, span.start_s - _SOUGHT_S + start_s(container, stream))
    half_tick = (stream.time_base or Fraction(0)) / 2
    before: VideoFrame | None = None
    shown = Showing(container, stream, strict)
    for time_s, _, frame in shown:
        if time_s >= span.end_s - half_tick:
            break
        if time_s > span.start_s + half_tick:
            if before is not None:
                yield Fraction(0), before
            before = None
            yield time_s - span.start_s, frame
        else:
            before = frame
    tally.count(video.blob, shown.n_frames)
    if before is not None and shown.end_s > span.start_s:
        yield Fraction(0), before


def _pictured(frame: VideoFrame, video: Video, pix_fmt: str) -> VideoFrame:
    from av import VideoFrame

    if video.rotation_deg:
        scaler = Scaler((video.width, video.height), video.rotation_deg)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(scaler(frame)), format="rgb24")
    return frame.reformat(video.width, video.height, pix_fmt, interpolation="BICUBIC", threads=1)


def _timed(frame: VideoFrame, time_s: Fraction, source: VideoStream) -> VideoFrame:
    from av.video.frame import PictureType

    tick_s = source.time_base or Fraction(1, 90_000)
    frame.pts, frame.time_base = round(time_s / tick_s), tick_s
    frame.pict_type = PictureType.NONE  # of the film's own frames: the encoder would keep it
    return frame


def _heard(
    container: InputContainer, heard: AudioStream, span: Span, start: Fraction, into: AudioStream, *, strict: bool
) -> Iterator[AudioFrame]:
    """The sound of a span, sample by sample, from its beginning on: what is missing there is silence."""
    from av import AudioFrame, AudioResampler

    rate_hz, layout = into.codec_context.sample_rate, into.codec_context.layout
    _seek(container, heard, span.start_s - _SOUGHT_S + start)
    resampler = AudioResampler(format="fltp", layout=layout, rate=rate_hz)
    last, done = round(span.length_s * rate_hz), 0
    first, is_exact = -round(span.start_s * rate_hz), True  # where the next sample lies, and whether its time decides
    for piece in resampled(sound_frames(container, heard), resampler):
        if isinstance(piece, str):
            if strict and 0 <= first < last:
                raise DecodeError(broken(span.start_s + Fraction(first, rate_hz), piece))
            is_exact = True
            continue
        at = first if piece[0] is None else round((piece[0] - start - span.start_s) * rate_hz)
        if is_exact or abs(at - first) > JITTER_S * rate_hz:
            first = at  # after a gap, too, and where a clock leaps
        is_exact = False
        for part in piece[1]:
            samples: np.ndarray = part.to_ndarray()[:, max(0, done - first) : max(0, last - first)]
            first += part.samples
            if not samples.shape[1]:
                continue
            gap = first - part.samples - done
            padded = np.ascontiguousarray(np.pad(samples, ((0, 0), (max(0, gap), 0))), np.float32)
            made = AudioFrame.from_ndarray(padded, format="fltp", layout=layout.name)
            made.rate, made.pts, made.time_base = rate_hz, done, Fraction(1, rate_hz)
            done += padded.shape[1]
            yield made
        if first >= last:
            break

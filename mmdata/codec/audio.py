"""Bytes to sound: libsndfile for what it reads, FFmpeg for the rest."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.codec.containers import cut_short, ffmpeg_errors
from mmdata.codec.demuxers import container_type, is_read, open_container
from mmdata.codec.limits import MAX_EXPANSION, MIB, expands_within, read_within, within
from mmdata.codec.sniff import HEAD_BYTES, after_id3, holds, media_type, modality
from mmdata.codec.tracks import sound_frames
from mmdata.codec.wav import read_wav
from mmdata.core.sample import Audio, Blob
from mmdata.core.step import Map
from mmdata.errors import DecodeError, MissingExtra

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from soundfile import SoundFile

_MAX_S = 4 * 3600.0
_MAX_SAMPLES = 1 << 29
_MAX_BYTES = 2048 * MIB
_SOUNDFILE = frozenset({"wav", "flac", "ogg", "mpeg", "aiff", "basic", "x-caf"})
_MANY_CODECS = frozenset(
    {"audio/wav", "audio/ogg", "audio/mpeg", "audio/aiff", "audio/basic", "audio/x-caf"}
)  # libsndfile has not all
_BLOCK = 1024  # samples read at once where a file breaks off somewhere
_LENIENCY_S = 0.25  # a codec's padding at both ends, and a container's rounding of its length


@dataclass(frozen=True, kw_only=True)
class DecodeAudio(Map[Blob, Audio]):
    """Decode sound to float32 [channel, time], full scale -1 to 1, at its own rate and with its own channels.

    WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF are read by libsndfile; AAC, AC-3, AMR, WavPack, TTA, Wave64,
    Monkey's Audio, Musepack, TAK, DTS, DSD (DSF, DFF), NIST Sphere, RealAudio, VOC and the sound track of MP4 (ALAC,
    too), Matroska, WebM, AVI, FLV, ASF (WMA), MPEG, MXF and others by FFmpeg, which is told the format that the bytes
    are (`codec.demuxers.DEMUXERS`). What no mark tells that is known here, FFmpeg may recognize among formats that lie
    in one file and have a firm mark (`codec.demuxers.PROBED`): never play lists, patterns of files and addresses.

    Args:
        max_s: refuse longer sound: before decoding where the header gives a length, while decoding otherwise.
        max_samples: the same for all channels together; four bytes of memory each.
        max_bytes: refuse larger files.
        max_expansion: refuse sound whose header promises so many times its file's bytes in memory, from 64 MiB on.
        strict: refuse what is cut short. Told exactly: WAV, RF64, Wave64, AIFF, AU and CAF by the size of their data,
            DSD by that of the file, FLAC, WavPack and TTA by their count of samples, Ogg by its last page (marked as
            such), MP4, Matroska and AVI by the size of their parts. MP3 by its chain of frames. Others by the length
            that they promise, to a quarter of a second; bare AAC, AC-3 and DTS, VOC and Shorten promise nothing.
            The message says the second at which it breaks off. Else what can't be decoded is left out.

    Raises:
        DecodeError: the bytes are no sound, are cut short or damaged, hold a NaN or an infinity, or pass a limit.

    Reference:
        libsndfile; FFmpeg, by PyAV; plain WAV by RIFF's own layout. What is cut short is told by each format's own
        sizes.
    """

    extra: ClassVar[str | None] = "audio"

    on: str | None = "audio"
    max_s: Annotated[float, Gt(0)] = _MAX_S
    max_samples: Annotated[int, Gt(0)] = _MAX_SAMPLES
    max_bytes: Annotated[int, Gt(0)] = _MAX_BYTES
    max_expansion: Annotated[float, Gt(0)] = MAX_EXPANSION
    strict: bool = True

    def map(self, blob: Blob) -> Audio:
        data = read_within(blob, self.max_bytes)
        kind = _kind_of(data)
        fault = cut_short(data, kind)
        if fault and self.strict:
            raise DecodeError(f"it is cut short: {fault}{self._ends(data, kind, blob.name)}")
        samples, rate_hz, is_whole = self._decoded(data, kind, blob.name)
        if samples.size and not (np.isfinite(samples.min()) and np.isfinite(samples.max())):
            raise DecodeError("it holds samples that are no numbers (NaN or infinity)")
        usual = samples.size <= _MAX_SAMPLES and samples.shape[1] <= _MAX_S * rate_hz and len(data) <= _MAX_BYTES
        usual = usual and (self.max_expansion <= MAX_EXPANSION or samples.nbytes <= MAX_EXPANSION * len(data))
        return Audio(samples, rate_hz, origin=blob if usual and is_whole and not fault else None)

    def _ends(self, data: bytes, kind: str, name: str) -> str:
        """Up to where sound that is cut short can be decoded, in words that end a message."""
        lenient = replace(self, strict=False)
        try:
            # mpg123, which libsndfile has for MP3, says on standard error whatever it finds odd
            by_ffmpeg = kind == "audio/mpeg"
            samples, rate_hz, _ = lenient._by_ffmpeg(data, kind) if by_ffmpeg else lenient._decoded(data, kind, name)
        except DecodeError:
            return "; nothing of it can be decoded"
        except MissingExtra:
            return ""
        return f"; it breaks off at {samples.shape[1] / rate_hz:.2f} s"

    def _decoded(self, data: bytes, kind: str, name: str) -> tuple[np.ndarray, int, bool]:
        """Samples, their rate, and whether they are all that the file should have."""
        if kind == "audio/wav" and (simple := read_wav(data)) is not None:
            self._check(simple[0].shape[1], simple[0].shape[0], simple[1], data)
            return *simple, True
        if kind.startswith("audio/") and kind.removeprefix("audio/") in _SOUNDFILE:
            try:
                return self._by_libsndfile(data)
            except _NotForLibsndfile:
                if kind not in _MANY_CODECS:
                    raise DecodeError(f"it is cut short or damaged: libsndfile can't decode this {kind}") from None
        elif not is_read(kind):
            raise DecodeError(f"no sound that is decoded here: {holds(data, name)}")
        return self._by_ffmpeg(data, kind)

    def _by_libsndfile(self, data: bytes) -> tuple[np.ndarray, int, bool]:
        import soundfile

        try:
            with soundfile.SoundFile(_Bytes(data)) as file:
                self._check(file.frames, file.channels, file.samplerate, data)
                promised, rate_hz = file.frames, file.samplerate
                samples = _read(file, data)
        except soundfile.LibsndfileError:
            raise _NotForLibsndfile from None
        if self.strict and len(samples) < promised:
            of = f"{len(samples):,} of {promised:,} samples a channel could be decoded"
            raise DecodeError(f"it is cut short or damaged: {of}; it breaks off at {len(samples) / rate_hz:.2f} s")
        return np.ascontiguousarray(samples.T), rate_hz, len(samples) >= promised

    def _check(self, n_samples: int, n_channels: int, rate_hz: int, data: bytes) -> None:
        if rate_hz < 1 or n_channels < 1:
            raise DecodeError(f"its header gives {n_channels} channels at {rate_hz} Hz")
        within("seconds", n_samples / rate_hz, "max_s", self.max_s)
        within("samples", n_samples * n_channels, "max_samples", self.max_samples)
        expands_within(4 * n_samples * n_channels, data, self.max_expansion)

    def _by_ffmpeg(self, data: bytes, kind: str) -> tuple[np.ndarray, int, bool]:
        with ffmpeg_errors(), open_container(data, kind) as container:
            if not container.streams.audio:
                raise DecodeError(f"this {kind} has no sound track")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise DecodeError("its sound track is of a kind that FFmpeg does not know")
            rate_hz, promised_s = stream.codec_context.sample_rate, _promised_s(stream)
            self._check(int((promised_s or 0) * rate_hz), stream.codec_context.channels, rate_hz, data)
            found = list(self._chunks(container, stream, data))
        chunks = [chunk for chunk in found if chunk is not None]
        if not chunks:
            cut = f"it is cut short: none of {promised_s:.2f} s could be decoded" if promised_s else None
            raise DecodeError(cut or "its sound track is empty")
        samples = np.concatenate(chunks, axis=1)
        got_s = samples.shape[1] / rate_hz
        is_short = promised_s is not None and got_s < promised_s - _LENIENCY_S
        if self.strict and is_short:
            raise DecodeError(f"it is cut short: {got_s:.2f} of {promised_s:.2f} s could be decoded")
        return samples, rate_hz, len(chunks) == len(found) and not is_short

    def _chunks(self, container: InputContainer, stream: AudioStream, data: bytes) -> Iterator[np.ndarray | None]:
        """The track as float32 [channel, time], packet by packet, watching the limits; None is a damaged one."""
        import av

        stream.codec_context.thread_count = 1
        context = stream.codec_context
        rate_hz, n_channels, n_samples = context.sample_rate, context.channels, 0
        to_float = av.AudioResampler(format="fltp", layout=context.layout, rate=rate_hz)
        for frame in sound_frames(container, stream):
            if isinstance(frame, str):
                if self.strict:
                    raise DecodeError(f"it breaks off at {n_samples / rate_hz:.2f} s: FFmpeg can't decode it: {frame}")
                yield None
                continue
            frame.pts = None  # gaps are for players; a step that aligns reads the container
            for part in to_float.resample(frame):
                chunk = part.to_ndarray()
                n_samples += chunk.shape[1]
                self._check(n_samples, n_channels, rate_hz, data)
                yield chunk


def _kind_of(data: bytes) -> str:
    """The media type of a file; of what follows an ID3 tag that is longer than a head."""
    kind = container_type(data)
    after = after_id3(data)
    inner = media_type(data[after : after + HEAD_BYTES]) if after > HEAD_BYTES and kind == "audio/mpeg" else kind
    return inner if modality(inner) == "audio" else kind


def _read(file: SoundFile, data: bytes) -> np.ndarray:
    """All samples of an open file, or those before the first that can't be decoded: float32 [time, channel]."""
    import soundfile

    try:
        return np.asarray(file.read(file.frames, dtype="float32", always_2d=True))
    except soundfile.LibsndfileError:
        sound = [np.empty((0, file.channels), np.float32)]
    with suppress(soundfile.LibsndfileError), soundfile.SoundFile(_Bytes(data)) as again:
        while len(block := again.read(_BLOCK, dtype="float32", always_2d=True)):
            sound.append(block)
    if len(sound) == 1:
        raise soundfile.LibsndfileError(0)
    return np.concatenate(sound)


class _Bytes(io.BytesIO):
    """Bytes in which a place before the first is not found, and nothing raised: libsndfile's caller can't catch it."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _NotForLibsndfile(Exception):
    """libsndfile does not read these bytes; FFmpeg may."""


def _promised_s(stream: AudioStream) -> float | None:
    return None if stream.duration is None or stream.time_base is None else float(stream.duration * stream.time_base)

"""Parts, forms and sizes in a few words, as a person wants to know them first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdata.core.arrays import ArraySpec


def n_bytes(count: float) -> str:
    """Bytes as a person says them: 512 bytes, 1.5 MB, 20 GB.

    >>> n_bytes(512), n_bytes(1_540_000), n_bytes(2e10)
    ('512 bytes', '1.5 MB', '20 GB')
    """
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.0f} {units[0]}" if count >= 10 or units[0] == "bytes" else f"{count:.1f} {units[0]}"


def plural(count: int, noun: str, many: str = "") -> str:
    """A noun as it stands behind a number.

    >>> plural(1, "run"), plural(0, "run"), plural(2, "class", "classes")
    ('run', 'runs', 'classes')
    """
    return noun if count == 1 else many or f"{noun}s"


def counted(count: int, noun: str, many: str = "") -> str:
    """So many of something.

    >>> counted(1, "shard"), counted(1_200, "shard")
    ('1 shard', '1,200 shards')
    """
    return f"{count:,} {plural(count, noun, many)}"


def duration(seconds: float) -> str:
    """A time as a person says it: 0.8 s, 42 s, 3 min 20 s, 2 h 5 min.

    >>> duration(0.84), duration(200), duration(7500)
    ('0.8 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def form(spec: ArraySpec) -> str:
    """What a feature promises, in a few words: "float32 time ? x mel 80"."""
    sizes = " x ".join(f"{dim} {spec.sizes.get(dim, '?')}" for dim in spec.dims)
    return f"{spec.dtype} {sizes or 'scalar'}"


def described(value: Any) -> str:
    """A part in a few words: what a person wants to know of it first."""
    from mmdata.core.sample import Array, Audio, Blob, Captions, Frames, Image, Text, Video

    if isinstance(value, Blob):
        return f"{value.size:,} bytes"
    if isinstance(value, Text):
        text = value.text if len(value.text) <= 60 else value.text[:57] + "..."
        return f"{text!r} ({len(value.text)} characters)"
    if isinstance(value, Captions):
        until_s = max((cue.end_ms for cue in value.cues), default=0) / 1000
        return f"{len(value.cues)} captions, to {until_s:.3f} s"
    if isinstance(value, Image):
        turned = "" if value.orientation == 1 else f", to be turned (EXIF {value.orientation})"
        return f"image {value.width} x {value.height}, {value.pixels.shape[2]} channels{turned}"
    if isinstance(value, Audio):
        return f"audio {value.duration_s:.3f} s, {value.rate_hz} Hz, {value.samples.shape[0]} channels"
    if isinstance(value, Video):
        return (
            f"video {value.duration_s:.2f} s, {value.width} x {value.height}, {value.fps:.4g} frames/s, {value.codec}"
        )
    if isinstance(value, Frames):
        return f"{len(value.times_s)} frames of {value.pixels.shape[2]} x {value.pixels.shape[1]}"
    return f"array {value.values.shape}" if isinstance(value, Array) else repr(value)

"""Which kinds of media can be read and written here."""

from __future__ import annotations

from collections.abc import Iterator

from mmdata.codec.abilities import FILM_CODECS, film_codecs, picture_formats, sound_formats
from mmdata.doctor.finding import GOOD, NOTE, Finding


def formats() -> Iterator[Finding]:
    """A finding for pictures, sound and film; each says what it lacks."""
    for what, ask, extra in (
        ("pictures", picture_formats, "image"),
        ("sound", sound_formats, "audio"),
        ("films", film_codecs, "video"),
    ):
        try:
            found = ask()
        except ImportError as error:
            yield Finding(what, NOTE, f"not at all: {error}", f"pip install 'mmdata[{extra}]'")
            continue
        able = [name for name, is_able in found.items() if is_able]
        unable = [name for name, is_able in found.items() if not is_able]
        if unable:
            mend = _FFMPEG if ask is film_codecs else "samples of these kinds will be rejected, with the reason"
            yield Finding(what, NOTE, f"{', '.join(able)}; not {', '.join(unable)}", mend)
        else:
            yield Finding(what, GOOD, ", ".join(able))


_FFMPEG = f"the wheels of av from PyPI decode all of {', '.join(FILM_CODECS)}; another build of FFmpeg may not"

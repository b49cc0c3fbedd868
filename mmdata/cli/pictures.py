"""Pictures and sounds in a terminal: in its own protocol where it has one, else as blocks of colour."""

from __future__ import annotations

import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from mmdata.core.sample import Image, Part

COLUMNS, ROWS = 40, 16  # of characters, at most
CHUNK = 4096  # characters of kitty's protocol
LEVELS = " ▁▂▃▄▅▆▇█"
Protocol = Literal["kitty", "iterm2", "blocks"]


def draw(part: Part) -> None:
    """Draw a part on standard output, where that is a terminal and the part can be seen or heard."""
    from mmdata.core.sample import Audio, Blob, Captions, Text
    from mmdata.errors import DataError
    from mmdata.serve.pictures import still

    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return
    if isinstance(part, Audio):
        print(wave(part.samples))
        return
    if isinstance(part, Blob | Text | Captions):
        return
    try:
        picture = still(part)
    except DataError:
        return
    size = shutil.get_terminal_size()
    protocol = protocol_of(os.environ)
    if protocol == "blocks":
        _print_blocks(picture, min(COLUMNS, size.columns), min(ROWS, max(4, size.lines // 2)))
    else:
        print(kitty(picture, ROWS) if protocol == "kitty" else iterm2(picture, ROWS))


def protocol_of(environment: Mapping[str, str]) -> Protocol:
    """What a terminal understands, by the variables that it sets; in tmux and screen only blocks arrive."""
    program = environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or environment.get("TERM", "").startswith(("screen", "tmux")):
        return "blocks"
    if environment.get("KITTY_WINDOW_ID") or environment.get("TERM") == "xterm-kitty" or program == "ghostty":
        return "kitty"
    return "iterm2" if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2" else "blocks"


def kitty(picture: Image, rows: int) -> str:
    """Kitty's graphics protocol: a PNG in chunks, shown so many rows high."""
    from mmdata.codec.image.encode import png_bytes

    data = b64encode(png_bytes(picture)).decode()
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    told = [f"a=T,f=100,r={rows},"] + [""] * (len(chunks) - 1)
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(f"\x1b_G{a}m={m};{chunk}\x1b\\" for a, m, chunk in zip(told, more, chunks, strict=True))


def iterm2(picture: Image, rows: int) -> str:
    """iTerm2's inline images protocol: a PNG, shown so many rows high."""
    from mmdata.codec.image.encode import png_bytes

    data = png_bytes(picture)
    return f"\x1b]1337;File=inline=1;size={len(data)};height={rows}:{b64encode(data).decode()}\x07"


def blocks(
    picture: Image, columns: int, rows: int
) -> Iterator[list[tuple[tuple[int, int, int], tuple[int, int, int]]]]:
    """Rows of characters that are each an upper and a lower pixel, in RGB; a character is twice as high as wide.

    Args:
        picture: upright or not; it is turned as its orientation says.
        columns: most characters a row.
        rows: most rows.
    """
    from mmdata.kernels.image.sizes import resize
    from mmdata.kernels.image.turns import turn_upright

    pixels = np.ascontiguousarray(turn_upright(picture.pixels, picture.orientation)[0])
    height, width = pixels.shape[:2]
    scale = min(columns / width, 2 * rows / height, 1.0)
    wide, high = max(1, round(width * scale)), max(2, 2 * round(height * scale / 2))
    small = resize(pixels, width=wide, height=high)
    small = np.broadcast_to(small, (high, wide, 3)) if small.shape[2] == 1 else small
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        yield [(tuple(one), tuple(other)) for one, other in zip(upper, lower, strict=True)]


def _print_blocks(picture: Image, columns: int, rows: int) -> None:
    from rich.color import Color
    from rich.console import Console
    from rich.style import Style
    from rich.text import Text

    console = Console()
    if console.no_color or console.color_system is None:
        return
    for row in blocks(picture, columns, rows):
        line = Text()
        for upper, lower in row:
            line.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
        console.print(line, soft_wrap=True)


def wave(samples: np.ndarray, columns: int = COLUMNS) -> str:
    """How loud a sound is over time, a character a stretch of it.

    Args:
        samples: float32 [channel, time].
        columns: characters.

    >>> wave(np.array([[0.0, 0.5, 1.0, 0.0]], np.float32), 4)
    ' ▄█ '
    """
    loud = np.nan_to_num(np.abs(samples)).max(axis=0) if samples.size else np.zeros(1)
    bounds = np.linspace(0, len(loud), min(columns, len(loud)) + 1).astype(np.int64)[:-1]
    peaks = np.maximum.reduceat(loud, bounds)
    return "".join(LEVELS[round(level)] for level in (len(LEVELS) - 1) * peaks / (peaks.max() or 1))

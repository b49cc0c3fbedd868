"""A folder of sound samples with one of each thing that goes wrong in real ones."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from mmdata.testing.films import moving_shapes
from mmdata.testing.media import jpeg_bytes, mp4_bytes, png_bytes, wav_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import tone
from mmdata.testing.texts import caption

ODD_NAME = 'it\'s a "name"\nwith ünïcode 名 and spaces'


@dataclass(frozen=True)
class Damage:
    """What was put into a folder, and what must become of it.

    Args:
        stem: the path without extension, relative to the folder: the end of its sample's key. A folder's ends in "/".
        files: names of its files.
        kind: as the rejects count it: "decode", "collision", "link_loop"; None is a sample that only looks bad and must
            be stored.
    """

    stem: str
    files: tuple[str, ...]
    kind: str | None


def damaged_corpus(folder: str | Path, n_good: int = 20, seed: int = 0) -> list[Damage]:
    """Write `n_good` sound samples (GOOD_0000.png and .txt) and, among them, one of each kind of damage.

    Args:
        folder: made where it is not there.
        n_good: sound samples besides.
        seed: of the pictures and captions.

    Returns:
        what was damaged, and how; every good sample and every one of kind None is to be stored.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for index in range(n_good):
        (root / f"good_{index:04d}.png").write_bytes(png_bytes(picture(32, 24, seed=seed + index)))
        (root / f"good_{index:04d}.txt").write_text(caption(seed + index).text, encoding="utf-8")
    bad = _bad_files()
    for name, data in bad.items():
        (root / name).write_bytes(data)
    (root / f"{ODD_NAME}.png").write_bytes(png_bytes(picture(32, 24, seed=seed)))
    for name in ("twin.png", "twin.jpg"):
        (root / name).write_bytes(png_bytes(picture(32, 24)))
    (root / "loop").symlink_to(root.resolve(), target_is_directory=True)
    return [
        *(Damage(name.rpartition(".")[0], (name,), "decode") for name in bad),
        Damage(ODD_NAME, (f"{ODD_NAME}.png",), None),
        Damage("twin", ("twin.jpg", "twin.png"), "collision"),
        Damage("loop/", ("loop",), "link_loop"),
    ]


def _bad_files() -> dict[str, bytes]:
    """Bytes by name that no decoder may accept."""
    jpeg, wav = jpeg_bytes(picture(320, 240)), wav_bytes(tone())
    film = mp4_bytes(moving_shapes(radius_px=20)[0])
    return {
        "empty.jpg": b"",
        "cut_picture.jpg": jpeg[: len(jpeg) // 2],
        "cut_sound.wav": wav[: len(wav) // 2],
        "cut_film.mp4": film[: len(film) // 2],
        "words.jpg": b"Hello world, I am a text that someone named .jpg\n",
        "bomb.png": bomb_bytes(),
    }


def bomb_bytes(side_px: int = 30000) -> bytes:
    """A sound, tiny PNG that decodes into gigabytes: black, one bit a pixel, `side_px` pixels square."""
    rows = zlib.compressobj(9)
    row = bytes(1 + (side_px + 7) // 8)
    packed = b"".join(rows.compress(row) for _ in range(side_px)) + rows.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

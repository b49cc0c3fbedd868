"""A store of real media: pictures as JPEG and PNG, sounds as WAV and Ogg, captions; some parts are lacking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mmdata.core.ports import Encoded
from mmdata.core.sample import Audio, Blob, Image, Part, Sample, Text, Video
from mmdata.store import Store
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.testing.media import jpeg_bytes, ogg_bytes, png_bytes, wav_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import tone

FP = "a" * 16
Bytes = Callable[[int], bytes | None]


def key_of(number: int) -> str:
    return f"gallery/{number:04d}"


def number_of(key: str) -> int:
    return int(key.removeprefix("gallery/"))


def same_size(number: int) -> bytes:
    """JPEG and PNG in turns, 40x32."""
    image = picture(40, 32, "gradient" if number % 3 else "checker", seed=number)
    return jpeg_bytes(image) if number % 2 else png_bytes(image)


def many_sizes(number: int) -> bytes | None:
    """Pictures of three sizes, one lacking in seven."""
    if number % 7 == 3:
        return None
    image = picture(16 + 8 * (number % 3), 24 - 8 * (number % 2), "gradient")
    return jpeg_bytes(image) if number % 2 else png_bytes(image)


def sounds(number: int) -> bytes | None:
    """Sounds of several lengths, in WAV and Ogg, one lacking in five."""
    if number % 5 == 2:
        return None
    sound = tone(0.05 + 0.01 * (number % 4), 300 + number, 16000, channels=1 + number % 2)
    return ogg_bytes(sound) if number % 3 == 0 else wav_bytes(sound)


def gallery(
    folder: str | Path,
    sizes: Sequence[int] = (20, 3, 25, 9),
    *,
    image: Bytes = same_size,
    speech: Bytes | None = None,
    film: Bytes | None = None,
    references: Collection[str] = (),
) -> Store:
    """A store with a shard for each size.

    Args:
        folder: where it is to be.
        sizes: samples of each shard.
        image: the picture of each number; bytes of any kind.
        speech: the sound of each number.
        film: the film of each number.
        references: parts that the store only points to.
    """
    store = Store.create(str(folder))
    made = {"image": image, "speech": speech, "film": film}
    added, first = [], 0
    for shard, size in enumerate(sizes):
        with ShardWriter(store.url, shard=f"{shard:016x}", fp=FP, source="gallery") as writer:
            for number in range(first, first + size):
                _add(writer, number, {name: make for name, make in made.items() if make}, references)
            added += writer.close()
        first += size
    store.commit([Change("samples", add=added)])
    return Store.open(store.url)


FILM = Video(Blob.of(b""), width=4, height=4, fps=8.0, duration_s=1.0)
SHOWN: dict[str, Part] = {"image": picture(4, 4), "speech": tone(0.01), "film": FILM}


def _add(writer: ShardWriter, number: int, made: dict[str, Bytes], references: Collection[str]) -> None:
    found = {name: data for name, make in made.items() if (data := make(number)) is not None}
    caption = Text(f"number {number}")
    parts: dict[str, Part] = {"text": caption, **{name: SHOWN[name] for name in found}}
    stored = {"text": Encoded(Blob.of(caption.text.encode()), "txt", caption)}
    stored |= {name: Encoded(Blob.of(data), "bin", SHOWN[name]) for name, data in found.items()}
    writer.add(
        Sample(key_of(number), parts, {"label": str(number % 4)}),
        {name: one for name, one in stored.items() if name not in references},
        pointers={name: f"{name}/{number:04d}" for name in stored},
        references=[name for name in found if name in references],
    )


def shown(store: Store, number: int) -> Image:
    """A picture as the store itself decodes it."""
    found = store.sample(key_of(number)).parts["image"]
    if not isinstance(found, Image):
        raise TypeError(f"it is a {type(found).__name__}")
    return found


def heard(store: Store, number: int) -> Audio:
    """A sound as the store itself decodes it."""
    found = store.sample(key_of(number)).parts["speech"]
    if not isinstance(found, Audio):
        raise TypeError(f"it is a {type(found).__name__}")
    return found

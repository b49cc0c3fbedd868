from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmdata.core.ports import Encoded
from mmdata.core.sample import Audio, Blob, Image, Part, Sample, Text, Video
from mmdata.errors import ConfigError
from mmdata.loader.parts import Part as Part_
from mmdata.loader.rows import rows
from mmdata.loader.stream import stream
from mmdata.store import Store
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter

Build = Callable[..., Store]
PIXELS, SOUND = np.zeros((2, 2, 3), np.uint8), np.zeros((1, 8), np.float32)
FILM = Video(Blob.of(b"x"), 2, 2, 8.0, 1.0)
PARTS: dict[str, Part] = {"text": Text("a"), "image": Image(PIXELS), "song": Audio(SOUND, 8000), "film": FILM}


@pytest.fixture
def store(build: Build) -> Store:
    """Samples with a caption, and one of another source with four parts and a name."""
    store = build(4)
    with ShardWriter(store.url, shard="f" * 16, fp="f" * 16, source="other") as writer:
        encoded = {name: Encoded(Blob.of(b"x"), "bin", part) for name, part in PARTS.items()}
        pointers = {name: f"a.{name}" for name in PARTS}
        writer.add(Sample("other/a", PARTS, {"author": "me", "label": "odd"}), encoded, pointers=pointers)
        files = writer.close()
    store.commit([Change("samples", add=files)])
    return store


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("imege", "did you mean 'image'?"),
        ("song.byte", "did you mean"),
        ("filn", "did you mean 'film'?"),
        ("film.sond", "did you mean 'film.sound'?"),
        ("song.sound", "'song.sound'"),
        ("text", "did you mean 'text.text'?"),
        ("caption", "did you mean 'text.caption'?"),
        ("author", "did you mean 'meta.author'?"),
        ("lable", "did you mean 'label'? there are image.embedding"),
        ("image.embeding", "did you mean 'image.embedding'?"),
        (
            "zzz",
            "'zzz'; there are image.embedding, image.sharpness, speech.mfcc, film, image, song, film.sound, key, label",
        ),
        ("zzz", "source, parent, text.caption, text.text, meta.author, meta.n"),
        ("text.", "there are image.embedding"),
    ],
)
def test_a_name_that_is_no_column_says_what_was_meant(store: Store, name: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        stream(store, [name])
    assert len(error.value.faults) == 1
    assert told in error.value.faults[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("meta.autor", "has 'meta.autor', did you mean 'meta.author'? there are meta.author, meta.n"),
        ("meta.zzz", "has 'meta.zzz'; there are meta.author, meta.n"),
        ("text.captoin", "has 'text.captoin', did you mean 'text.caption'? there are text.caption, text.text"),
        ("meta.größe", "has 'meta.größe'"),
    ],
)
def test_a_text_that_no_sample_has_is_refused(store: Store, name: str, told: str) -> None:
    for asked in (lambda: stream(store, [name], batch_size=2), lambda: rows(store, [name])):
        with pytest.raises(ConfigError) as error:
            asked()
        assert len(error.value.faults) == 1
        assert told in error.value.faults[0]


def test_a_text_that_few_samples_have_is_given(build: Build) -> None:
    store = build(3)
    with ShardWriter(store.url, shard="f" * 16, fp="f" * 16, source="toy") as writer:
        for number in range(130):
            meta: dict[str, object] = {"größe": 3, "late": None} if number == 120 else {"other": "größe late"}
            parts: dict[str, Part] = {"text": Text("a"), **({"rare": Text("b")} if number == 125 else {})}
            encoded = {name: Encoded(Blob.of(b"x"), "txt", part) for name, part in parts.items()}
            writer.add(Sample(f"toy/{number}", parts, meta), encoded, pointers=dict.fromkeys(parts, "x"))
        files = writer.close()
    store.commit([Change("samples", add=files)])
    (batch,) = stream(store, ["meta.größe", "meta.late", "text.rare", "meta.label"], batch_size=133, shuffle=False)
    assert [value for value in batch["meta.größe"] if value] == ["3"]
    assert set(batch["meta.late"]) == {None}
    assert [value for value in batch["text.rare"] if value] == ["b"]


def test_a_text_may_be_in_one_part_of_a_mixture_alone(store: Store, make_store: Build, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", (8,))
    parts = [Part_(store, weight=1), Part_(other, weight=1)]
    assert next(iter(stream(parts, ["meta.author", "text.text"], batch_size=2, lanes=1)))["meta.author"]
    with pytest.raises(ConfigError, match=r"no sample of .*store, .*other has 'meta.autor', did you mean"):
        stream(parts, ["meta.autor"], batch_size=2)


def test_a_name_alone_is_asked_for_as_a_list(store: Store) -> None:
    with pytest.raises(ConfigError) as error:
        stream(store, "label")
    assert error.value.faults == ("columns: expected a list of names: ['label'], not 'label'",)


def test_an_empty_store_has_texts_to_name(build: Build) -> None:
    with pytest.raises(ConfigError, match=r"there are .*, key, label, source, parent$"):
        stream(build(0), ["zzz"])

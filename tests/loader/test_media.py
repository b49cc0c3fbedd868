from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import strategies as st

from mmdata.augment.audio import AddNoise as AddNoiseToSound
from mmdata.augment.image import (
    AddNoise,
    BlurImage,
    CompressImage,
    CropAtRandom,
    DropColors,
    EraseRectangle,
    FlipImage,
    JitterColors,
)
from mmdata.clean.audio import KeepDuration, MixDown
from mmdata.clean.image import (
    ConvertToGrey,
    CropImage,
    DenoiseImage,
    EqualizeImage,
    LetterboxImage,
    ResizeImage,
    SharpenImage,
)
from mmdata.codec.image import DecodeImage
from mmdata.core.rng import rng_for
from mmdata.core.sample import Image, Pointer, Sample
from mmdata.core.step import Drop, Filter, Map, RandomMap, Step
from mmdata.errors import ConfigError, StepError, StoreError, Unreachable
from mmdata.features.image import ColorHistogram
from mmdata.loader.decoding import SPECS, spec_given
from mmdata.loader.stream import Stream, stream
from mmdata.loader.tars import Place
from mmdata.loader.torch import WorkerStream
from mmdata.store import Store
from mmdata.store.files import Files
from mmdata.store.layout import SAMPLES, Media
from mmdata.store.rewrite import merged
from mmdata.store.store import Change
from mmdata.store.tables import FILES
from mmdata.store.write import ShardWriter
from mmdata.testing.contracts.streams import StreamCase, StreamContract
from mmdata.testing.damage import bomb_bytes
from mmdata.testing.media import jpeg_bytes, png_bytes, wav_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import tone
from tests.loader.gallery import gallery, heard, key_of, many_sizes, number_of, same_size, shown, sounds

Batches = Iterable[dict[str, Any]]
Steps = dict[str, Sequence[Step]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """57 pictures of one size."""
    return gallery(tmp_path_factory.mktemp("plain") / "store")


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """57 samples: pictures of several sizes and sounds of several lengths, some lacking."""
    return gallery(tmp_path_factory.mktemp("varied") / "store", image=many_sizes, speech=sounds)


def spoiled(*numbers: int) -> Callable[[int], bytes]:
    """Pictures, some of which are none."""
    return lambda number: b"\xff\xd8\xff no picture" if number in numbers else same_size(number)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """57 pictures, of which 0, 7, 21 and 40 can't be decoded."""
    return gallery(tmp_path_factory.mktemp("damaged") / "store", image=spoiled(0, 7, 21, 40))


def keys(batches: Batches) -> list[list[str]]:
    return [list(batch["key"]) for batch in batches]


def test_pictures_come_as_the_store_decodes_them(plain: Store) -> None:
    seen = 0
    for batch in stream(plain, ["image", "label"], batch_size=10, tail="short"):
        assert batch["image"].dtype == np.uint8
        assert batch["image"].shape == (len(batch["key"]), 32, 40, 3)
        assert batch["image.mask"].all()
        assert batch["image.length"].tolist() == [[32, 40]] * len(batch["key"])
        for row, key in enumerate(batch["key"]):
            assert (batch["image"][row] == shown(plain, number_of(key)).pixels).all()
            assert batch["label"][row] == str(number_of(key) % 4)
        seen += len(batch["key"])
    assert seen == 57


def test_sizes_that_differ_are_padded_and_what_lacks_is_masked(varied: Store) -> None:
    for batch in stream(varied, ["image", "speech", "text.text"], batch_size=12, tail="short", window_rows=8):
        sizes, lengths = batch["image.length"], batch["speech.length"]
        assert batch["image"].shape[1:3] == tuple(sizes.max(axis=0))
        assert batch["speech"].shape[1:] == tuple(lengths.max(axis=0))
        for row, key in enumerate(batch["key"]):
            number = number_of(key)
            assert batch["text.text"][row] == f"number {number}"
            assert batch["image.mask"][row] == (many_sizes(number) is not None)
            assert batch["speech.mask"][row] == (sounds(number) is not None)
            height, width = sizes[row]
            expected = shown(varied, number).pixels if batch["image.mask"][row] else np.zeros((0, 0, 3))
            assert (batch["image"][row, :height, :width] == expected).all()
            assert not batch["image"][row, height:].any()
            assert not batch["image"][row, :, width:].any()
            channels, time = lengths[row]
            sound = heard(varied, number) if batch["speech.mask"][row] else None
            assert batch["speech.rate_hz"][row] == (sound.rate_hz if sound else 0)
            assert (batch["speech"][row, :channels, :time] == (sound.samples if sound else np.zeros((0, 0)))).all()
            assert not batch["speech"][row, channels:].any()
            assert not batch["speech"][row, :, time:].any()


def test_bytes_come_as_they_lie_in_the_store(varied: Store) -> None:
    for batch in stream(varied, ["image.bytes", "speech.bytes"], batch_size=9, tail="short"):
        for row, key in enumerate(batch["key"]):
            assert batch["image.bytes"][row] == many_sizes(number_of(key))
            assert batch["speech.bytes"][row] == sounds(number_of(key))


def test_tensors_of_torch_share_the_arrays(plain: Store) -> None:
    batch = next(iter(stream(plain, ["image"], batch_size=4, output="torch")))
    assert isinstance(batch["image"], torch.Tensor)
    assert batch["image"].dtype == torch.uint8
    assert batch["image.length"].dtype == torch.int64


def test_batches_are_the_callers_own(plain: Store) -> None:
    """Their memory, which is large enough to be used again, is so only once nobody holds them."""
    steps = {"image": [ResizeImage(size_px=320, enlarge=True)]}
    first = list(stream(plain, ["image"], batch_size=8, steps=steps))
    sums = [int(batch["image"].sum()) for batch in first]
    views = [batch["image"][1:, :7] for batch in first]
    del first
    again = [int(batch["image"].sum()) for batch in stream(plain, ["image"], batch_size=8, steps=steps)]
    assert again == sums
    whole = list(stream(plain, ["image"], batch_size=8, steps=steps))
    assert all((view == batch["image"][1:, :7]).all() for view, batch in zip(views, whole, strict=True))


class TestContract(StreamContract):
    @pytest.fixture
    def case(self, damaged: Store) -> StreamCase:
        def opened(rank: int, world: int, **drawn: Any) -> Stream:
            return stream(damaged, ["image"], rank=rank, world=world, window_rows=10, **drawn)

        return StreamCase(
            opened,
            st.fixed_dictionaries(
                {
                    "global_batch_size": st.sampled_from([4, 12]),
                    "tail": st.sampled_from(["drop", "short", "mask"]),
                    "lanes": st.sampled_from([1, 4]),
                    "seed": st.integers(0, 3),
                }
            ),
        )


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_have_no_say(damaged: Store, threads: int) -> None:
    steps = {"image": [FlipImage(), AddNoise()]}
    one = list(stream(damaged, ["image"], batch_size=8, seed=3, steps=steps, threads=2))
    other = list(stream(damaged, ["image"], batch_size=8, seed=3, steps=steps, threads=threads))
    assert keys(one) == keys(other)
    assert all((a["image"] == b["image"]).all() for a, b in zip(one, other, strict=True))


def test_steps_have_the_rng_of_seed_epoch_and_key(plain: Store) -> None:
    made = stream(plain, ["image"], batch_size=8, seed=5, epoch=2, steps={"image": [AddNoise(), AddNoise()]})
    batch = next(iter(made))
    for row, key in enumerate(batch["key"]):
        image = shown(plain, number_of(key))
        for occurrence in range(2):
            image = AddNoise().map(image, rng_for(5, 2, "augment.image.AddNoise", "image", occurrence, key))  # type: ignore[assignment]
        assert isinstance(image, Image)
        assert (batch["image"][row] == image.pixels).all()
    again = stream(plain, ["image"], batch_size=8, seed=5, epoch=3, steps={"image": [AddNoise(), AddNoise()]})
    by_key = {key: row for other in again for key, row in zip(other["key"], other["image"], strict=True)}
    assert any(
        (by_key[key] != row).any() for key, row in zip(batch["key"], batch["image"], strict=True) if key in by_key
    )


def test_a_decoder_of_ones_own_may_stand_first_and_a_feature_last(plain: Store) -> None:
    grey = next(iter(stream(plain, ["image"], batch_size=3, steps={"image": [DecodeImage(grey=True, max_px=20)]})))
    assert grey["image"].shape == (3, 16, 20, 1)
    made = stream(plain, ["image"], batch_size=3, steps={"image": [FlipImage(), ColorHistogram()]})
    batch = next(iter(made))
    assert made.specs["image"] == ColorHistogram().spec()
    assert batch["image"].shape == (3, *ColorHistogram().extract(picture(4, 4)).shape)
    assert "image.length" not in batch


def test_steps_that_bring_all_to_one_size_spare_the_lengths(varied: Store) -> None:
    steps: Steps = {
        "image": [CropImage(width_px=20, height_px=12), FlipImage(), ConvertToGrey()],
        "speech": [MixDown()],
    }
    made = stream(varied, ["image", "speech"], batch_size=8, steps=steps)
    assert made.specs["image"].sizes == {"height": 12, "width": 20, "channel": 1}
    for batch in made:
        assert batch["image"].shape == (8, 12, 20, 1)
        assert "image.length" not in batch
        assert not batch["image"][~batch["image.mask"]].any()
        assert batch["speech.length"].shape == (8,)  # of time alone


@pytest.mark.parametrize(
    "step",
    [
        FlipImage(p=1),
        AddNoise(),
        BlurImage(),
        CompressImage(),
        EraseRectangle(p=1),
        JitterColors(),
        DropColors(p=1),
        EqualizeImage(),
        DenoiseImage(),
        SharpenImage(),
        CropImage(width_px=9, height_px=7),
        CropImage(width_px=999, height_px=7, enlarge=False),
        LetterboxImage(width_px=9, height_px=7),
        ResizeImage(size_px=9),
        ResizeImage(size_px=9, side="exact"),
        CropAtRandom(width_px=9, height_px=7),
        CropAtRandom(width_px=None, height_px=None),
        ConvertToGrey(channels=3),
    ],
)
def test_what_a_step_says_of_its_form_is_true(step: Step) -> None:
    for number, size in enumerate([(40, 32), (31, 50)]):
        image = picture(*size, seed=number)
        before = SPECS[Image].fixed(height=image.height, width=image.width)
        given = step.map(image, rng_for(0, number)) if isinstance(step, RandomMap) else step.map(image)  # type: ignore[attr-defined]
        assert isinstance(given, Image)
        assert spec_given(step, before).fault(given.pixels) is None


def test_sound_of_one_channel_and_a_step_that_drops(varied: Store) -> None:
    made = stream(
        varied, ["speech"], batch_size=6, steps={"speech": [MixDown(), KeepDuration(min_s=0.07), AddNoiseToSound()]}
    )
    for batch in made:
        assert batch["speech"].shape[1] == 1
        assert (batch["speech.length"][batch["speech.mask"]] >= 0.07 * 16000).all()
    assert made.n_replaced
    assert {one.kind for one in made.replaced} == {"dropped"}


def test_bad_samples_are_replaced_and_reported(damaged: Store) -> None:
    bad = {key_of(number) for number in (0, 7, 21, 40)}
    made = stream(damaged, ["image", "text.text", "image.bytes"], batch_size=8, tail="short", seed=1)
    for batch in made:
        assert not bad & set(batch["key"])
        for row, key in enumerate(batch["key"]):  # in all columns
            assert batch["text.text"][row] == f"number {number_of(key)}"
            assert batch["image.bytes"][row] == same_size(number_of(key))
            assert (batch["image"][row] == shown(damaged, number_of(key)).pixels).all()
    assert {one.key for one in made.replaced} == bad
    assert made.n_replaced == len(made.replaced) >= 4
    assert {(one.column, one.kind) for one in made.replaced} == {("image", "decode")}
    assert all(one.error and one.by not in bad for one in made.replaced)


def test_the_state_says_what_was_replaced(damaged: Store) -> None:
    made = stream(damaged, ["image"], batch_size=8)
    for _ in made:
        pass
    state = json.loads(json.dumps(made.state_dict()))
    assert state["replaced"]["count"] == made.n_replaced >= 3
    assert state["replaced"]["last"][-1]["key"] == made.replaced[-1].key
    again = stream(damaged, ["image"], batch_size=8)
    again.load_state_dict(state)
    assert again.n_replaced == made.n_replaced
    for _ in again:
        pass
    assert again.n_replaced > made.n_replaced


def test_batches_that_are_not_given_count_nothing(damaged: Store) -> None:
    made = stream(damaged, ["image"], batch_size=8)
    list(made.batches(0))
    assert made.n_replaced == 0


def test_workers_tell_what_they_replaced(damaged: Store) -> None:
    alone = stream(damaged, ["image"], batch_size=8)
    expected = keys(alone)
    shared = stream(damaged, ["image"], batch_size=8)
    assert keys(WorkerStream(shared, workers=2, start="fork")) == expected
    assert shared.replaced == alone.replaced
    assert shared.state_dict() == alone.state_dict()


def test_too_many_bad_ones_in_a_row_are_an_error(tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", image=spoiled(*range(57)))
    with pytest.raises(StoreError, match=r"3 samples in a row are bad, max_consecutive_bad is 2: .*gallery/\d+"):
        list(stream(store, ["image"], batch_size=8, max_consecutive_bad=2))
    with pytest.raises(ConfigError, match="max_consecutive_bad: must be at least 0, not -1"):
        stream(store, ["image"], max_consecutive_bad=-1)


def test_no_bad_one_is_taken_where_none_is_allowed(damaged: Store) -> None:
    with pytest.raises(StoreError, match="1 samples in a row are bad"):
        list(stream(damaged, ["image"], batch_size=8, tail="short", max_consecutive_bad=0))


def hostile(number: int) -> bytes:
    if number == 5:
        return bomb_bytes(30_000)
    if number == 6:
        return same_size(number)[:200]  # a PNG that is cut
    if number == 7:
        return jpeg_bytes(picture(200, 200))[:900]
    return same_size(number)


def test_bombs_and_cut_files_are_bad_samples(tmp_path: Path) -> None:
    made = stream(gallery(tmp_path / "store", image=hostile), ["image"], batch_size=57)
    batch = next(iter(made))
    assert batch["image"].shape == (57, 32, 40, 3)
    assert {number_of(one.key) for one in made.replaced} == {5, 6, 7}
    assert any("max_pixels" in one.error for one in made.replaced)


def test_a_batch_that_would_be_too_large_is_refused_before_it_is(tmp_path: Path) -> None:
    large = png_bytes(picture(3000, 2000, "gradient"))
    store = gallery(tmp_path / "store", (20,), image=lambda number: large if number == 4 else same_size(number))
    with pytest.raises(ConfigError, match=r"a batch of 20 rows of 'image', padded to 2000 x 3000 x 3, takes 343 MiB"):
        next(iter(stream(store, ["image"], batch_size=20, max_bytes=300 << 20)))
    made = stream(
        store, ["image"], batch_size=20, max_bytes=300 << 20, steps={"image": [DecodeImage(max_pixels=10_000)]}
    )
    assert next(iter(made))["image"].shape == (20, 32, 40, 3)
    assert made.replaced[0].key == key_of(4)


def test_a_batch_of_more_bytes_than_fit_is_refused(plain: Store) -> None:
    n_bytes = sum(len(same_size(number)) for number in range(57))
    with pytest.raises(ConfigError, match=r"max_bytes: the bytes of 'image\.bytes' in one batch are over a third"):
        list(stream(plain, ["image.bytes"], batch_size=57, window_rows=1, lanes=1, max_bytes=2 * n_bytes))
    assert len(list(stream(plain, ["image.bytes"], batch_size=57, max_bytes=4 * n_bytes))) == 1


def test_a_step_that_fails_otherwise_ends_the_stream(plain: Store) -> None:
    with pytest.raises(StepError, match=r"Wrong failed on 'gallery/\d+': ZeroDivisionError"):
        list(stream(plain, ["image"], batch_size=8, steps={"image": [Wrong()]}))
    with pytest.raises(StepError, match=r"Grey gave another array of 'image' than promised.*axis 'channel' has 1"):
        list(stream(plain, ["image"], batch_size=8, steps={"image": [Grey()]}))
    with pytest.raises(StepError, match=r"Dark failed on 'gallery/\d+': TypeError: the filter returned False"):
        list(stream(plain, ["image"], batch_size=8, steps={"image": [Dark()]}))


@dataclass(frozen=True, kw_only=True)
class Wrong(Map[Image, Image]):
    on: str | None = "image"

    def map(self, image: Image) -> Image | Drop:
        return image.changed(image.pixels // (1 // 0))


@dataclass(frozen=True, kw_only=True)
class Grey(Map[Image, Image]):
    on: str | None = "image"

    def map(self, image: Image) -> Image | Drop:
        return image.changed(image.pixels[:, :, :1])


@dataclass(frozen=True, kw_only=True)
class Dark(Filter[Image]):
    on: str | None = "image"

    def keep(self, image: Image) -> Any:
        return bool(image.pixels.mean() < 0)


@dataclass(frozen=True, kw_only=True)
class Whole(Map[Sample, Sample]):
    def map(self, sample: Sample) -> Sample | Drop:
        return sample


@pytest.mark.parametrize(
    ("columns", "steps", "told"),
    [
        (
            ["image"],
            {"image": [MixDown()]},
            "steps: 'image': clean.audio.MixDown works on Audio, here it is given one Image",
        ),
        (["image"], {"image": [Whole()]}, "works on Sample"),
        (["image"], {"image": [ColorHistogram(), FlipImage()]}, "a feature: one of a single column may stand last"),
        (["image"], {"speech": [MixDown()]}, "steps: 'speech' is no column that was asked for"),
        (["image.bytes"], {"image.bytes": [FlipImage()]}, "bytes are given as they are"),
        (["image"], {"image": FlipImage()}, "'image': expected a list of steps, not augment.image.FlipImage"),
        (["image"], {"image": "FlipImage"}, "'image': expected a list of steps, not 'FlipImage'"),
        (["image"], {"image": [FlipImage]}, "'image': FlipImage is a class: write FlipImage(), with its settings"),
        (["image"], {"image": [np.flip]}, "is no step"),
        (["speech"], {"speech": [DecodeImage()]}, "codec.image.DecodeImage gives no Audio, which 'speech' is"),
    ],
)
def test_steps_that_do_not_fit_are_told_before_anything_is_read(
    varied: Store, columns: list[str], steps: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        stream(varied, columns, batch_size=4, steps=steps)
    assert told in str(error.value)


def test_a_missing_tar_and_a_cut_one_are_raised_and_never_replaced(tmp_path: Path) -> None:
    store = gallery(tmp_path / "store")
    tars = sorted((tmp_path / "store" / "media").glob("*.tar"))
    whole = tars[0].read_bytes()
    tars[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=rf"has {len(whole) // 2} bytes, the log says {len(whole)}; `mmdata verify"):
        list(stream(store, ["image"], batch_size=8, tail="short"))
    tars[0].unlink()
    with pytest.raises(StoreError, match=r"\.tar is gone; `mmdata verify .*` checks all files"):
        list(stream(store, ["image"], batch_size=8, tail="short"))


def test_a_changed_tar_is_told_where_digests_are_checked(tmp_path: Path) -> None:
    store = gallery(tmp_path / "store")
    tar = min((tmp_path / "store" / "media").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    with pytest.raises(StoreError, match="its bytes changed"):
        list(stream(store, ["image.bytes"], batch_size=8, tail="short", check_digests=True))


def test_a_part_that_is_not_what_its_digest_says_is_replaced_and_told(tmp_path: Path) -> None:
    store = gallery(tmp_path / "store")
    whole = {key: data for batch in whole_epoch(store) for key, data in pairs_of(batch)}
    tar = min((tmp_path / "store" / "media").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    victim = next(key for key, member in whole.items() if (at := data.find(member)) >= 0)
    data[at + len(whole[victim]) // 2] ^= 1
    tar.write_bytes(data)
    opened = whole_epoch(store)
    found = [pair for batch in opened for pair in pairs_of(batch)]
    assert [(one.key, one.column, one.kind) for one in opened.replaced] == [(victim, "image.bytes", "changed")]
    assert "their digest is" in opened.replaced[0].error
    assert len(found) == len(whole)
    assert all(member == whole[key] for key, member in found)
    assert victim not in dict(found)
    assert opened.state_dict()["replaced"]["count"] == 1


def whole_epoch(store: Store) -> Stream:
    return stream(store, ["image.bytes"], batch_size=8, tail="short")


def pairs_of(batch: dict[str, Any]) -> list[tuple[str, bytes]]:
    return list(zip(batch["key"], batch["image.bytes"], strict=True))


def test_shards_without_digests_of_parts_are_read_and_rewritten_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As stores of an older version have them: a table is widened when the first new shard comes."""
    schema = FILES[SAMPLES]
    with monkeypatch.context() as patched:
        patched.setitem(FILES, SAMPLES, schema.remove(schema.get_field_index("digests")))
        store = gallery(tmp_path / "store")
    before = {key: data for batch in whole_epoch(store) for key, data in pairs_of(batch)}
    assert len(before) == len(store)
    shards = store.view().shards
    name = "f" * 16
    samples = merged(Files.at(store.url), shards, shard=name)[0]
    assert samples.rows == len(store)
    table = pq.read_table(Path(store.url) / samples.path)
    assert table.schema.names == schema.names
    assert table["digests"].null_count == len(store)
    writer = ShardWriter(store.url, shard=name, fp=shards[0].samples.fp, source=shards[0].source)
    writer.add(Sample("new/one", {}, {}), {}, pointers={})
    store.commit([Change("samples", add=writer.close())])
    assert len(Store.open(store.url)) == len(before) + 1


def test_parts_that_are_only_pointed_to_are_fetched(tmp_path: Path) -> None:
    store = gallery(
        tmp_path / "store", speech=lambda number: wav_bytes(tone(0.01, 200 + number)), references=["speech"]
    )
    asked = []

    def fetch(pointer: Pointer) -> bytes:
        asked.append(pointer.uri)
        return wav_bytes(tone(0.01, 200 + int(pointer.uri.removeprefix("speech/"))))

    for batch in stream(store, ["speech", "image"], batch_size=8, tail="short", fetch=fetch):
        for row, key in enumerate(batch["key"]):
            expected = tone(0.01, 200 + number_of(key)).samples
            assert np.abs(batch["speech"][row] - expected).max() < 1e-4
    assert sorted(asked) == [f"speech/{number:04d}" for number in range(57)]
    with pytest.raises(StoreError, match=r"part 'speech' is in its source only, not in .*: give the stream `fetch`"):
        list(stream(store, ["speech"], batch_size=8))


def test_what_can_not_be_reached_is_tried_again_and_then_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.loader.tars.PAUSES_S", (0.0, 0.0))
    store = gallery(tmp_path / "store", (3,), references=["image"])
    tries: list[str] = []

    def fetch(pointer: Pointer) -> bytes:
        tries.append(pointer.uri)
        if tries.count(pointer.uri) < 3:
            raise Unreachable("no answer")
        return same_size(int(pointer.uri.removeprefix("image/")))

    made = stream(store, ["image"], batch_size=3, fetch=fetch)
    assert len(next(iter(made))["key"]) == 3
    assert len(tries) == 9
    assert made.n_replaced == 0

    def away(pointer: Pointer) -> bytes:
        raise Unreachable(f"{pointer}: no answer")

    with pytest.raises(Unreachable, match="no answer"):
        list(stream(store, ["image"], batch_size=3, fetch=away))


@pytest.mark.s3
def test_media_of_a_bucket_come_by_request_or_from_copies(bucket: str, plain: Store, tmp_path: Path) -> None:
    store = gallery(f"{bucket}/store")
    expected = list(stream(plain, ["image"], batch_size=16))
    for cache in (None, tmp_path / "cache"):
        found = list(stream(store, ["image"], batch_size=16, cache=cache))
        assert keys(found) == keys(expected)
        assert all((a["image"] == b["image"]).all() for a, b in zip(found, expected, strict=True))
    assert len(list((tmp_path / "cache" / "copies").iterdir())) == 8  # of four shards, rows and tars


def test_more_tars_than_may_be_open_are_closed_and_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.loader.tars.FILES_KEPT", 2)
    monkeypatch.setattr("mmdata.loader.tars._reading", WeakSet())
    store = gallery(tmp_path / "store", [4] * 9)
    files = stream(store, ["image"], batch_size=4).contents.media_files()
    places = [Place(key_of(n), "image", media.path, 512, 16) for n, media in enumerate(tars_of(store))]
    with ThreadPoolExecutor(4) as threads:
        headers = list(threads.map(files.read, places * 20))
    assert headers == [files.read(place) for place in places] * 20
    open_now = [path for path in Path("/proc/self/fd").iterdir() if str(store.url) in str(path.resolve())]
    assert len(open_now) <= 2
    files.close()


def tars_of(store: Store) -> list[Media]:
    return [shard.samples.media for shard in store.view().shards if shard.samples.media is not None]


def test_a_stream_that_is_left_ends_its_threads_and_closes_its_files(plain: Store) -> None:
    import threading

    for _ in stream(plain, ["image"], batch_size=2):
        break
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("mmdata-")]


def test_memory_is_bounded_however_long_the_caller_takes(tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (96,), image=lambda number: png_bytes(picture(400, 300, "gradient")))
    batch = 8 * 400 * 300 * 3

    def peak(max_bytes: int, awaited: int = 0) -> int:
        tracemalloc.start()
        until = time.monotonic() + 120
        for number, _ in enumerate(stream(store, ["image"], batch_size=8, max_bytes=max_bytes)):
            time.sleep(0.03)  # whatever may be begun is made meanwhile
            while number > 0 and tracemalloc.get_traced_memory()[1] <= awaited and time.monotonic() < until:
                time.sleep(0.01)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    narrow = peak(4 * batch)
    wide = peak(100 * batch, awaited=narrow + batch)
    assert narrow < 4 * batch
    assert narrow < wide - batch
    assert wide < 9 * batch  # four under way, those given and being given, and what threads have in hand

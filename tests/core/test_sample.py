from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.fingerprint import canonical, fingerprint, keys_digest
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob, Image, Pointer, Sample, Text


@pytest.mark.parametrize(
    "pointer",
    [Pointer("a/b.png"), Pointer("x.tar", 512, 30), Pointer("t.parquet", row=3, column="image"), Pointer("odd#name")],
)
def test_a_pointer_is_read_back_from_its_text(pointer: Pointer) -> None:
    assert Pointer.parse(str(pointer)) == pointer


def test_a_blob_reads_its_bytes_once_and_only_when_asked() -> None:
    reads = []

    def load() -> bytes:
        reads.append(1)
        return b"abc"

    blob = Blob(Pointer("x"), 3, load)
    assert not reads
    assert blob.data() + blob.data() == b"abcabc"
    assert len(reads) == 1


def test_a_changed_part_no_longer_claims_its_origin() -> None:
    blob = Blob.of(b"x")
    text = Text("x", origin=blob)
    assert text.changed("x") is text
    assert text.changed("y").origin is None
    image = Image(np.zeros((2, 3, 3), np.uint8), orientation=6, origin=blob)
    assert image.changed(image.pixels).origin is None
    assert image.changed(image.pixels).orientation == 6
    assert (image.width, image.height) == (3, 2)


def test_a_cut_keeps_the_clock_and_all_of_it_is_no_cut() -> None:
    audio = Audio(np.arange(20, dtype=np.float32).reshape(2, 10), rate_hz=10)
    assert audio.cut(0, 10) is audio
    assert audio.cut(-5, 99) is audio
    twice = audio.cut(2, 9).cut(1, 4)
    assert twice.samples.tolist() == [[3, 4, 5], [13, 14, 15]]
    assert twice.clock.to_source(0) == Fraction(3, 10)
    assert twice.clock.length_s == Fraction(3, 10)


def test_a_child_extends_its_parents_key_and_replaces_parts() -> None:
    sample = Sample("s/film", {"a": Text("1"), "b": Text("2")}, {"label": "x"})
    child = sample.child("1.000-2.000", b=Text("3"))
    assert (child.key, child.parent) == ("s/film@1.000-2.000", "s/film")
    assert (child.parts["a"], child.parts["b"]) == (Text("1"), Text("3"))
    assert sample.parts["b"] == Text("2")
    assert sample.with_meta(n=1).meta == {"label": "x", "n": 1}


def test_canonical_json_has_one_form_and_no_nan() -> None:
    assert canonical({"b": 1, "a": [1, "é"]}) == '{"a":[1,"é"],"b":1}'
    with pytest.raises(ValueError, match=r"Out of range|not JSON"):
        canonical(float("nan"))


@given(st.lists(st.text()), st.lists(st.text()))
def test_only_equal_lists_of_keys_have_one_digest(left: list[str], right: list[str]) -> None:
    assert (keys_digest(left) == keys_digest(right)) == (left == right)


def test_fingerprints_are_the_same_on_every_machine() -> None:
    assert fingerprint("a", 1, {"b": [2.5, None]}) == "683c9612da28cbef"
    assert fingerprint("a") != fingerprint(["a"])


def test_randomness_hangs_on_seed_step_and_key_alone() -> None:
    values = {rng_for(seed, step, key).random() for seed in (0, 1) for step in ("a", "b") for key in ("x", "y")}
    assert len(values) == 8
    assert rng_for(0, "a", "x").random() in values
    assert rng_for(0, "ab", "c").random() != rng_for(0, "a", "bc").random()

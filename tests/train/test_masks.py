"""What stands where an input is missing can't be told from a model's answer, whatever it learned to say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import ConfigError
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input, Part
from mmdata.train.model import FusionModel, check_encoders
from mmdata.train.plan import Head, ModelPlan

INPUTS = (
    Input("a", "x.a", "vector", 3),
    Input("b", "x.b", "sequence", 2),
    Input("c", "x.c", "image", 3, (4, 5, 3)),
)
CLASSES = Head(classes=("p", "q", "r"))
YES = Head(name="yes", objective="binary", classes=("no", "yes"))
SIZE = Head(name="size", objective="regression")
LEARNED: dict[str, tuple[dict[str, object], tuple[Head, ...]]] = {
    "cross_entropy": ({}, (CLASSES,)),
    "binary": ({"objective": "binary"}, (replace(YES, name=""),)),
    "regression": ({"objective": "regression"}, (replace(SIZE, name=""),)),
    "contrastive": ({"objective": "contrastive", "sides": (("a",), ("b", "c"))}, ()),
    "reconstruction": ({"objective": "reconstruction"}, ()),
    "tasks": ({"task_weights": "uncertainty"}, (replace(CLASSES, name="shape"), YES, SIZE)),
}
FUSIONS = ("concat", "gated", "cross_attention", "late_weighted", "early")


@cache
def model(learned: str, fusion: str, cascade: bool) -> FusionModel:
    torch.manual_seed(1)
    given_ = {"c": "image<-b", "b": "gru"} if cascade else {"c": "image"}
    asked, heads = LEARNED[learned]
    columns = {item.name: item.column for item in INPUTS}
    config = TrainConfig(inputs=columns, encoders=given_, fusion=fusion, width=8, **asked)  # type: ignore[arg-type]
    return FusionModel(ModelPlan(config=config, inputs=INPUTS, heads=heads)).eval()


def batch(seed: int, n: int = 4) -> list[Part]:
    rng = torch.Generator().manual_seed(seed)
    there, length = torch.ones(n, dtype=torch.bool), torch.randint(1, 6, (n,), generator=rng)
    scale = 10.0 ** torch.randint(-1, 2, (1,), generator=rng).float()
    return [
        Part(torch.randn(n, 3, generator=rng) * scale, there),
        Part(torch.randn(n, 5, 2, generator=rng) * scale, there, length),
        Part(torch.rand(n, 4, 5, 3, generator=rng) * scale, there),
    ]


@pytest.mark.parametrize("cascade", [False, True], ids=["parallel", "cascade"])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("learned", LEARNED)
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32), masks=st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_content_of_a_masked_input_can_not_change_the_output(
    learned: str, fusion: str, cascade: bool, seed: int, masks: list[bool]
) -> None:
    if cascade and fusion == "early":
        return  # it has no encoders
    net, here, other = model(learned, fusion, cascade), batch(seed), batch(seed + 1)
    present = torch.tensor(masks).view(3, 4)
    mixed = []
    for one, two, there in zip(here, other, present, strict=True):
        shape = (-1, *[1] * (one.values.ndim - 1))
        mixed.append(replace(one, values=torch.where(there.view(shape), one.values, two.values), present=there))
    masked = [replace(part, present=there) for part, there in zip(here, present, strict=True)]
    with torch.inference_mode():
        torch.testing.assert_close(net(mixed), net(masked), rtol=0, atol=0)


@pytest.mark.parametrize("learned", LEARNED)
def test_what_is_there_does_change_the_output(learned: str) -> None:
    net, here, other = model(learned, "concat", True), batch(0), batch(1)
    for at in range(3):
        assert not torch.allclose(net([*here[:at], other[at], *here[at + 1 :]]), net(here), atol=1e-6)


def encoded(net: FusionModel, parts: list[Part]) -> list[torch.Tensor]:
    present = torch.stack([part.present for part in parts], dim=1)
    return [each.summary(*steps).detach() for each, steps in net._encoded(parts, present)]


def cascade(**encoders: str) -> FusionModel:
    torch.manual_seed(0)
    columns = {item.name: item.column for item in INPUTS}
    config = TrainConfig(inputs=columns, encoders={"c": "image", **encoders}, width=8)
    check_encoders(INPUTS, config)
    return FusionModel(ModelPlan(config=config, inputs=INPUTS, heads=(CLASSES,))).eval()


def test_a_cascade_feeds_one_encoder_into_the_next_and_no_other() -> None:
    net = cascade(a="mlp<-b", b="gru<-c")  # c to b to a, whatever the order of the inputs
    here, other = batch(0), batch(1)
    before = encoded(net, here)

    def changed(at: int) -> list[bool]:
        after = encoded(net, [*here[:at], replace(other[at], length=here[at].length), *here[at + 1 :]])
        return [not torch.equal(*pair) for pair in zip(before, after, strict=True)]

    assert [changed(at) for at in range(3)] == [[True, False, False], [True, True, False], [True, True, True]]


def test_who_lacks_what_a_cascade_feeds_is_encoded_by_itself() -> None:
    net, here, other = cascade(b="transformer<-a"), batch(0), batch(1)
    gone = torch.zeros(4, dtype=torch.bool)
    without = [encoded(net, [replace(part[0], present=gone), *here[1:]])[1] for part in (here, other)]
    torch.testing.assert_close(*without, rtol=0, atol=0)
    assert not torch.allclose(without[0], encoded(net, here)[1])


@pytest.mark.parametrize(
    ("encoders", "settings_", "fault"),
    [
        ({"b": "gru<-z"}, {}, "encoders.b: no input 'z'"),
        ({"b": "grru<-a"}, {}, "encoders.b: there is no 'grru'"),
        ({"b": "gru<-b"}, {}, "encoders.b: a circle, b <- b"),
        ({"a": "mlp<-b", "b": "gru<-a"}, {}, "encoders.a: a circle, a <- b <- a"),
        ({"b": "gru<-a"}, {"fusion": "early"}, "'early' has no encoders"),
        ({"b": "gru<-a"}, LEARNED["contrastive"][0], "'a' is of the other side"),
    ],
)
def test_a_cascade_that_can_not_be_is_refused(
    encoders: dict[str, str], settings_: dict[str, object], fault: str
) -> None:
    columns = {item.name: item.column for item in INPUTS}
    config = TrainConfig(inputs=columns, encoders=encoders, **settings_)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=fault):
        check_encoders(INPUTS, config)
    if "circle" in fault:
        with pytest.raises(ConfigError, match="a circle"):
            FusionModel(ModelPlan(config=config, inputs=INPUTS, heads=(CLASSES,)))

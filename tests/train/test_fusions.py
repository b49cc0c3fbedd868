"""Every way of fusing, against a plain numpy version; and what all of them promise about missing inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mmdata.errors import ConfigError
from mmdata.train.config import TrainConfig
from mmdata.train.fusion import CrossAttention, Fusion, fusion_class
from mmdata.train.inputs import Input, Part
from mmdata.train.model import FusionModel, check_encoders
from mmdata.train.plan import Head, ModelPlan

VECTORS = ["concat", "weighted_sum", "product", "gated", "low_rank", "attention_pool", "additive", "cross_attention"]
LATE = ["late_average", "late_weighted"]
ALL = [*VECTORS, *LATE, "early"]
N_INPUTS, WIDTH = 3, 8
Arrays = dict[str, np.ndarray]
BATCH = (
    Input("a", "x.a", "vector", 3),
    Input("b", "x.b", "sequence", 2),
    Input("c", "x.c", "image", 3, (4, 5, 3)),
)


def made(name: str) -> Fusion:
    """A fusion whose every weight is drawn at random."""
    torch.manual_seed(7)
    fusion = fusion_class(name)(N_INPUTS, WIDTH)
    for weight in fusion.parameters():
        nn.init.normal_(weight, std=0.5)
    return fusion.eval()


def drawn(n: int = 40) -> tuple[Tensor, Tensor]:
    """Encoded inputs, of which some samples lack some, and one lacks all."""
    rng = np.random.default_rng(3)
    present = rng.random((n, N_INPUTS)) < 0.6
    present[0], present[1] = False, True
    return torch.tensor(rng.normal(size=(n, N_INPUTS, WIDTH)), dtype=torch.float32), torch.tensor(present)


def softmax(scores: np.ndarray) -> np.ndarray:
    exp = np.exp(scores - scores.max())
    return np.asarray(exp / exp.sum())


def shares(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    found = np.zeros(len(scores))
    if there.any():
        found[there] = softmax(scores[there])
    return found


def asked(w: Arrays, prefix: str, query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Multi-head attention of one query [width] over keys [key, width], by the book."""
    weight, bias = w[f"{prefix}in_proj_weight"], w[f"{prefix}in_proj_bias"]
    q, k, v = (
        x @ weight[at * WIDTH : (at + 1) * WIDTH].T + bias[at * WIDTH : (at + 1) * WIDTH]
        for at, x in enumerate((query, keys, keys))
    )
    size = WIDTH // 4
    heads = [slice(head * size, (head + 1) * size) for head in range(4)]
    mixed = np.concatenate([softmax(k[:, head] @ q[head] / size**0.5) @ v[:, head] for head in heads])
    out: np.ndarray = mixed @ w[f"{prefix}out_proj.weight"].T + w[f"{prefix}out_proj.bias"]
    return out


def normed(w: Arrays, x: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w["norm.weight"] + w["norm.bias"]
    return scaled


def concat(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.concatenate([x[i] if there[i] else w["missing"][i] for i in range(N_INPUTS)])


def weighted_sum(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    part = shares(w["score"], there)
    return sum((part[i] * x[i] for i in range(N_INPUTS) if there[i]), np.zeros(WIDTH))


def product(_: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    out = np.ones(WIDTH)
    for i in np.flatnonzero(there):
        out = out * np.tanh(x[i])
    return out


def gated(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    x = np.where(there[:, None], x, 0)
    gates = 1 / (1 + np.exp(-(w["gates.weight"] @ x.ravel() + w["gates.bias"])))
    return sum(
        (gates[i * WIDTH : (i + 1) * WIDTH] * np.tanh(x[i] @ w["values"][i]) for i in range(N_INPUTS)), np.zeros(WIDTH)
    )


def low_rank(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    out = w["bias"].copy()
    for rank in range(4):
        factor = np.ones(WIDTH)
        for i in range(N_INPUTS):
            factor = factor * (np.concatenate([[1.0], x[i] * there[i]]) @ w["factors"][rank, i])
        out = out + w["weights"][rank] * factor
    return out


def attention_pool(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    scores = np.array([w["score.weight"][0] @ np.tanh(w["hidden.weight"] @ row + w["hidden.bias"]) for row in x])
    part = shares(scores, there)
    return sum((part[i] * x[i] for i in range(N_INPUTS) if there[i]), np.zeros(WIDTH))


def additive(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(there)
    if not len(rows):
        return np.zeros(WIDTH)
    weighted = sum((w["weight"][i] * x[i] for i in rows), np.zeros(WIDTH))
    answers: np.ndarray = np.mean([asked(w, "attention.", x[i], x[rows]) for i in rows], axis=0)
    return np.asarray(weighted + answers)


def cross_attention(w: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    out = []
    for i in range(N_INPUTS):
        others = [j for j in range(N_INPUTS) if j != i and there[j]]
        keys = np.array([x[j] + w["origin"][j] for j in others])
        answer = asked(w, f"attention.{i}.", x[i], keys) if others else 0.0
        out.append(normed(w, x[i] + answer) if there[i] else w["missing"][i])
    return np.concatenate(out)


def late_average(_: Arrays, x: np.ndarray, there: np.ndarray) -> np.ndarray:
    mean: np.ndarray = x[there].mean(axis=0) if there.any() else np.zeros(WIDTH)
    return mean


BY_HAND: dict[str, Callable[[Arrays, np.ndarray, np.ndarray], np.ndarray]] = {
    "concat": concat, "weighted_sum": weighted_sum, "product": product, "gated": gated, "low_rank": low_rank,
    "attention_pool": attention_pool, "additive": additive, "cross_attention": cross_attention,
    "late_average": late_average, "late_weighted": weighted_sum,
}  # fmt: skip


@pytest.mark.parametrize("name", [*VECTORS, *LATE])
def test_numbers_are_those_of_the_formula(name: str) -> None:
    fusion, (encoded, present) = made(name), drawn()
    weights = {key: value.detach().double().numpy() for key, value in fusion.named_parameters()}
    expected = [
        BY_HAND[name](weights, x, there) for x, there in zip(encoded.double().numpy(), present.numpy(), strict=True)
    ]
    fused = fusion(encoded, present)
    assert fused.shape == (40, fusion.n_out)
    np.testing.assert_allclose(fused.detach().numpy(), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", [*VECTORS, *LATE])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), junk=st.sampled_from([torch.nan, torch.inf, -1e30, 3.0]))
def test_what_stands_in_the_place_of_a_missing_input_changes_nothing(name: str, seed: int, junk: float) -> None:
    fusion, (encoded, _) = made(name), drawn()
    present = torch.rand(40, N_INPUTS, generator=torch.Generator().manual_seed(seed)) < 0.5
    other = torch.where(present[..., None], encoded, junk)
    torch.testing.assert_close(fusion(other, present), fusion(encoded, present), rtol=0, atol=0)


@pytest.mark.parametrize("name", [*VECTORS, *LATE])
def test_every_weight_learns_and_no_gradient_is_lost_to_missing_inputs(name: str) -> None:
    fusion, (encoded, present) = made(name), drawn()
    encoded.requires_grad_()
    fusion(encoded, present).square().sum().backward()
    assert encoded.grad is not None
    reached = (encoded.grad.abs().sum(dim=2) > 0).numpy()
    assert not reached[~present.numpy()].any()
    assert reached[present.numpy()].all()
    for key, weight in fusion.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key


def test_an_attention_sees_the_steps_of_the_other_inputs_and_only_real_ones() -> None:
    fusion = made("cross_attention")
    assert isinstance(fusion, CrossAttention)
    encoded, present = torch.randn(2, N_INPUTS, WIDTH), torch.tensor([[True, True, True], [True, True, False]])
    one = torch.ones(2, dtype=torch.int64)
    steps = [(encoded[:, 0], one), (torch.randn(5, WIDTH), torch.tensor([3, 2])), (encoded[:, 2], one)]
    fused = fusion.over(encoded, present, steps)
    moved = [*steps[:1], (steps[1][0] + torch.tensor([[0.0]] * 3 + [[1.0]] * 2), steps[1][1]), steps[2]]
    changed = (fusion.over(encoded, present, moved) - fused).abs().view(2, N_INPUTS, WIDTH).sum(dim=2) > 1e-6
    assert changed.tolist() == [[False, False, False], [True, False, False]]


def batch(n: int = 6, seed: int = 0) -> list[Part]:
    rng = torch.Generator().manual_seed(seed)
    there = torch.ones(n, dtype=torch.bool)
    length = torch.randint(1, 6, (n,), generator=rng)
    frames = torch.randn(n, 5, 2, generator=rng) * (torch.arange(5) < length[:, None])[..., None]
    return [
        Part(torch.randn(n, 3, generator=rng), there),
        Part(frames, there, length),
        Part(torch.rand(n, 4, 5, 3, generator=rng), there),
    ]


def model(fusion: str, **encoders: str) -> FusionModel:
    torch.manual_seed(1)
    config = TrainConfig(inputs={"a": "x.a", "b": "x.b", "c": "x.c"}, encoders=encoders, fusion=fusion, width=8)
    return FusionModel(ModelPlan(config=config, inputs=BATCH, heads=(Head(classes=("no", "yes")),))).eval()


@pytest.mark.parametrize("fusion", ALL)
@pytest.mark.parametrize("chain", ["auto", "gru", "lstm", "transformer", "cnn+gru"])
def test_a_masked_modality_can_t_change_the_answer_and_one_that_is_there_does(fusion: str, chain: str) -> None:
    net, parts, other = model(fusion, b=chain, c="image"), batch(), batch(seed=5)
    gone = torch.zeros(6, dtype=torch.bool)
    for at in range(N_INPUTS):
        with_it = [*parts[:at], other[at], *parts[at + 1 :]]
        assert not torch.allclose(net(with_it), net(parts), atol=1e-6), at
        masked = [
            [replace(part, present=gone) if i == at else part for i, part in enumerate(p)] for p in (parts, with_it)
        ]
        torch.testing.assert_close(net(masked[0]), net(masked[1]), rtol=0, atol=0)


@pytest.mark.parametrize("chain", ["cnn", "gru", "lstm", "transformer", "cnn+transformer", "gru+lstm"])
def test_a_sequence_is_read_the_same_whatever_it_is_batched_with(chain: str) -> None:
    net, parts = model("concat", b=chain), batch()
    together = net(parts)
    for row in range(6):
        alone = [
            replace(p, values=p.values[row : row + 1], present=p.present[row : row + 1],
                    length=None if p.length is None else p.length[row : row + 1])
            for p in parts
        ]  # fmt: skip
        torch.testing.assert_close(net(alone), together[row : row + 1], rtol=1e-4, atol=1e-5)


def test_tokens_are_embedded_and_an_id_that_was_never_seen_is_one_of_its_own() -> None:
    config = TrainConfig(inputs={"t": "text.tokens"}, encoders={"t": "transformer"}, width=8)
    net = FusionModel(
        ModelPlan(config=config, inputs=(Input("t", "text.tokens", "tokens", 5),), heads=(Head(classes=("a", "b")),))
    )
    there, length = torch.ones(3, dtype=torch.bool), torch.tensor([2, 2, 2])
    answers = net.eval()([Part(torch.tensor([[1, 2], [1, 5], [1, 9999]]), there, length)])
    assert not torch.allclose(answers[0], answers[1])
    torch.testing.assert_close(answers[1], answers[2], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("encoders", "fault"),
    [
        ({"z": "gru"}, "encoders.z: no input 'z'"),
        ({"b": "grru"}, "encoders.b: there is no 'grru', did you mean 'gru'"),
        ({"a": "gru"}, "encoders.a: 'gru' is for no vector"),
        ({"b": "mlp"}, "encoders.b: 'mlp' is for no sequence"),
        ({"b": "auto+gru"}, "encoders.b: 'auto\\+gru' is for no sequence"),
        ({"b": ""}, "encoders.b: there is no ''"),
    ],
)
def test_an_encoder_that_does_not_go_with_its_input_is_refused(encoders: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check_encoders(BATCH, TrainConfig(inputs={"a": "x.a"}, encoders=encoders))

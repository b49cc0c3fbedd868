"""Attention in plain sums and products, for what torch's own module does not give: its weights, and a form in ONNX."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def ask(attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention over several heads (Vaswani et al., 2017, section 3.2), with a module's weights.

    Args:
        attention: its weights; made with `batch_first`, with biases, and without dropout.
        queries: float32 [batch, query, width].
        keys: float32 [batch, key, width], which are the values, too.
        known: bool [batch, key], which of them are there. Who has none is answered by the mean of all.

    Returns:
        Float32 [batch, query, width], and how much each key counted: [batch, query, key], the mean over heads.
    """
    form, width = (attention.num_heads, attention.head_dim), attention.embed_dim
    into, bias = attention.in_proj_weight, attention.in_proj_bias
    query = _by_head(functional.linear(queries, into[:width], bias[:width]), *form)
    key = _by_head(functional.linear(keys, into[width : 2 * width], bias[width : 2 * width]), *form)
    value = _by_head(functional.linear(keys, into[2 * width :], bias[2 * width :]), *form)
    scores = query @ key.transpose(2, 3) * attention.head_dim**-0.5
    some = known | ~known.any(dim=1, keepdim=True)
    weights = scores.masked_fill(~some[:, None, None], -torch.inf).softmax(dim=3)
    answer: Tensor = attention.out_proj((weights @ value).transpose(1, 2).flatten(2))
    return answer, weights.mean(dim=1)


def _by_head(values: Tensor, n_heads: int, size: int) -> Tensor:
    """[batch, time, width] to [batch, head, time, width of a head]."""
    return values.view(values.shape[0], values.shape[1], n_heads, size).transpose(1, 2)


def transform(layer: nn.TransformerEncoderLayer, steps: Tensor, known: Tensor) -> Tensor:
    """A layer of a Transformer that normalises first, as its own `forward` when it is not training.

    Args:
        layer: its weights.
        steps: float32 [sequence, time, width].
        known: bool [sequence, time].
    """
    normed = layer.norm1(steps)
    steps = steps + ask(layer.self_attn, normed, normed, known)[0]
    changed: Tensor = steps + layer.linear2(functional.gelu(layer.linear1(layer.norm2(steps))))
    return changed

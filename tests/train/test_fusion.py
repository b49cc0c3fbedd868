from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmdata.errors import ConfigError
from mmdata.train.fusion import Concat, Fusion, fusion_class, silence


class Total(Fusion):
    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.n_out = width

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        return (encoded * present[..., None]).sum(dim=1)


def test_inputs_stand_side_by_side() -> None:
    fused = Concat(2, 2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[True, True]]))
    assert fused.tolist() == [[1, 2, 3, 4]]


def test_a_missing_input_is_its_learned_vector_whatever_stood_there() -> None:
    fusion = Concat(2, 2)
    torch.nn.init.normal_(fusion.missing)
    encoded = torch.tensor([[[1.0, 2.0], [torch.nan, 4.0]]])
    fused = fusion(encoded, torch.tensor([[True, False]]))
    torch.testing.assert_close(fused, torch.cat([torch.tensor([[1.0, 2.0]]), fusion.missing[1:]], dim=1))
    fused.sum().backward()
    assert fusion.missing.grad is not None
    assert fusion.missing.grad.tolist() == [[0, 0], [1, 1]]


def test_a_class_is_found_by_its_name_in_lower_case() -> None:
    assert fusion_class("concat") is Concat


@pytest.mark.parametrize("name", ["concatt", "Concat", "fusion", "tensor", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="fusion: there is no"):
        fusion_class(name)


def test_a_near_miss_gets_a_guess() -> None:
    with pytest.raises(ConfigError, match="did you mean 'concat'"):
        fusion_class("concatt")


def test_another_packages_class_works_by_its_path_once_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("their_fusions")
    theirs.Total = Total  # type: ignore[attr-defined]
    theirs.dict = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_fusions", theirs)
    assert fusion_class("their_fusions.Total") is Total
    with pytest.raises(ConfigError, match="plugins"):
        fusion_class("their_fusions.dict")


def test_a_name_imports_nothing() -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(ConfigError, match="plugins"):
        fusion_class("antigravity.Fusion")
    assert "antigravity" not in sys.modules


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20), st.integers(0, 99))
def test_silence_takes_only_what_is_there_and_never_all_of_it(rows: list[list[bool]], seed: int) -> None:
    torch.manual_seed(seed)
    present = torch.tensor(rows)
    kept = silence(present, 0.6)
    assert not (kept & ~present).any()
    assert (kept.any(dim=1) == present.any(dim=1)).all()


def test_silence_takes_about_its_share() -> None:
    torch.manual_seed(0)
    kept = silence(torch.ones(20_000, 8, dtype=torch.bool), 0.25)
    assert 0.74 < kept.float().mean() < 0.76

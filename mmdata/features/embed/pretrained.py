"""What all steps with a model of `transformers` share: settings, loading, pooling, and the form of what comes out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from logging import ERROR
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.step import BatchExtract
from mmdata.errors import ConfigError
from mmdata.features.embed.weights import digest_of_folder, located, unusable

if TYPE_CHECKING:
    import torch

Takes = TypeVar("Takes")
SHARED = "shared"
TOWERS = ("text_model", "vision_model", "audio_model")
# never used by what is computed here, so that it may be missing in a file of weights
UNUSED = ("masked_spec_embed", "mask_token", "logit_scale", "logit_bias", "embeddings.position_ids")
_LOADING = threading.RLock()  # of transformers' modules and processors, which threads may ask for at once


@dataclass(frozen=True)
class Tower:
    """A loaded model: the whole of it, the part that sees this kind of value, and where both are.

    Args:
        whole, part: torch modules; the same but for models of two towers, and of encoder and decoder.
        device: of torch's naming.
    """

    whole: Any
    part: Any
    device: str

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        import torch

        made = torch.from_numpy(np.ascontiguousarray(values))
        if self.device.startswith("cuda"):  # from pinned memory the copy does not hold this thread up
            return made.pin_memory().to(self.device, non_blocking=True)
        return made.to(self.device)


@dataclass(frozen=True, kw_only=True)
class Pretrained(BatchExtract[Takes], Generic[Takes]):
    """What steps with a model of `transformers` share. Only safetensors are read, and no code of a model's is run.

    Args:
        model: a folder, `package:NAME/path`, or a name of the hub that lies in its local cache; see `weights`.
        revision: a branch, tag or commit of the hub.
        normalize: give every vector length 1.
        dtype: of what is stored. Computed is in float32, but for what `precision` allows.
        layer: take the states of this layer, 0 being what goes into the first, -1 what comes out of the last; None is
            the model's result, which may be normalised once more.
    """

    extra: ClassVar[str | None] = "models"
    tower: ClassVar[str] = ""  # of a model with several, the one that sees this kind of value

    model: str
    revision: str | None = None
    normalize: bool = False
    dtype: Literal["float32", "float16"] = "float32"
    layer: int | None = None

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the model's files in place of its name."""
        found = super().settings()
        del found["revision"]
        return {**found, "model": digest_of_folder(self.model, self.revision)}

    @property
    def folder(self) -> Path:
        return located(self.model, self.revision)

    def config(self) -> Any:
        """The configuration of the model.

        Raises:
            ConfigError: it has none, or is of an architecture that transformers does not know.
        """
        return config_in(self.folder, self.model)

    def own_config(self) -> Any:
        """The configuration of the tower that sees this kind of value."""
        config = self.config()
        return getattr(config, self.tower.replace("model", "config"), None) or config

    def load(self, device: str) -> Tower:
        """The model in float32 and its evaluation mode.

        Raises:
            ConfigError: its weights are missing, damaged, or not those of its configuration.
        """
        digest_of_folder(self.model, self.revision)  # for its errors: nothing but safetensors is read below
        whole, missing = loaded(self.folder, self.model)
        part = self.part_of(whole)
        needed = _names(whole, part)
        lacking = sorted(name for name in missing if name in needed and not self.may_lack(name))
        if lacking:
            shown = ", ".join(lacking[:3])
            raise unusable(self.model, f"its weights lack {len(lacking)} of its architecture's, such as {shown}")
        return Tower(whole.to(device), part.to(device), device)

    def part_of(self, whole: Any) -> Any:
        """The module that sees this kind of value; the other towers' weights are let go."""
        if getattr(whole.config, "is_encoder_decoder", False):
            return whole.get_encoder()
        if not hasattr(whole, self.tower):
            return whole
        for other in TOWERS:
            if other != self.tower and hasattr(whole, other):
                delattr(whole, other)
        return getattr(whole, self.tower)

    def may_lack(self, weight: str) -> bool:
        """Whether a weight that is not in the files does not count."""
        return weight.endswith(UNUSED)

    def states(self, output: Any) -> torch.Tensor:
        """The states of the chosen layer: [batch, place, feature], or [batch, feature, row, column] of convolutions."""
        chosen: torch.Tensor
        chosen = output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]
        return chosen

    @property
    def asks(self) -> dict[str, Any]:
        """What a forward pass is asked for."""
        return {} if self.layer is None else {"output_hidden_states": True}

    def check_layer(self, config: Any) -> None:
        """Raise ConfigError when the model has no such layer."""
        n_layers = getattr(config, "num_hidden_layers", None)
        if self.layer is None or not isinstance(n_layers, int):
            return
        if not -(n_layers + 1) <= self.layer <= n_layers:
            raise ConfigError("layer", [f"layer: expected {-(n_layers + 1)} to {n_layers}, not {self.layer}"])

    def vector(self, size: int) -> ArraySpec:
        """The promise of one vector."""
        return ArraySpec(dims=("feature",), sizes={"feature": size}, dtype=self.dtype)

    def finished(self, values: torch.Tensor) -> np.ndarray:
        """Vectors along the last axis as they are stored: of length 1 where asked for, in the dtype asked for."""
        values = values.float()
        if self.normalize:
            values = values / values.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        found: np.ndarray = values.cpu().numpy().astype(self.dtype, copy=False)
        return found


def masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over the places that are real: [batch, place, feature] and [batch, place] to [batch, feature]."""
    weight = mask.to(states.dtype)[..., None]
    return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def config_in(folder: Path, model: str) -> Any:
    """The configuration of a transformers model, its defaults filled in; see `Pretrained.config`."""
    path = folder / "config.json"
    if not path.is_file():
        raise unusable(model, f"there is no config.json in {str(folder)!r}: is it the folder of a transformers model?")
    return _config(folder, model, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _config(folder: Path, model: str, _mtime_ns: int) -> Any:
    with quiet():
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever stands in a stranger's config.json
            raise unusable(model, f"its configuration can't be used: {first_line(error)}") from error


def loaded(folder: Path, model: str, form: str = "AutoModel") -> tuple[Any, set[str]]:
    """The model on the CPU, in a form of transformers' choosing, and the names of weights that its files lack."""
    with quiet():
        import torch
        import transformers

        try:
            whole, found = getattr(transformers, form).from_pretrained(
                folder,
                config=config_in(folder, model),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # whatever stands in a stranger's files
            raise unusable(model, f"can't be loaded: {first_line(error)}") from error
    return whole.eval().requires_grad_(requires_grad=False), set(found["missing_keys"])


def _names(whole: Any, part: Any) -> set[str]:
    """The weights that are in use: those of the part, and of the whole beside its towers and its decoder."""
    own = {id(weight) for weight in part.parameters()}
    idle = [getattr(whole, name, None) for name in (*TOWERS, "decoder")]
    if part is not whole and getattr(whole.config, "is_encoder_decoder", False):
        idle = [whole]
    others = {id(weight) for module in idle if module is not None for weight in module.parameters()} - own
    return {name for name, weight in whole.named_parameters(remove_duplicate=False) if id(weight) not in others}


def first_line(error: Exception) -> str:
    """What an error says, in one line that is not too long."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


@contextmanager
def quiet() -> Iterator[None]:
    """One thread at a time within transformers' loading, without its progress bars and warnings."""
    with _LOADING:
        from transformers.utils import logging

        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(ERROR)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def of_one_form(prepared: Sequence[Mapping[str, np.ndarray]]) -> list[list[int]]:
    """Places of prepared values whose arrays are of the same shapes, so that they stack."""
    forms: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
    for place, arrays in enumerate(prepared):
        form = tuple((name, array.shape) for name, array in sorted(arrays.items()))
        forms.setdefault(form, []).append(place)
    return list(forms.values())

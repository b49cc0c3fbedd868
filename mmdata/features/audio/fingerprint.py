"""A fingerprint by which the same recording is found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import Extract
from mmdata.features.audio.framing import heard
from mmdata.kernels.audio.landmarks import RATE_HZ, landmarks, min_hash


@dataclass(frozen=True, kw_only=True)
class AudioFingerprint(Extract[Audio]):
    """Landmarks of a recording, the same after gain, a codec or a cut at the ends: uint32 [landmark], rising.

    Pairs of spectral peaks, hashed (Wang, "An industrial-strength audio search algorithm", ISMIR 2003).
    `kernels.audio.landmarks.overlap` compares two. On spoken prompts it is 1 for another gain, 0.48 and more after
    Opus, 0.59 and more after a cut, and 0.06 at most for other recordings by the same speaker. The column `.minhash`,
    uint32 [permutation], is of fixed length: the share of places where two are equal estimates the share of landmarks
    that both recordings have, of all that either has.

    Args:
        n_permutations: length of the signature.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    into: str = "audio.fingerprint"
    n_permutations: Annotated[int, Gt(0)] = 64

    def spec(self) -> Mapping[str, ArraySpec]:
        sizes = {"permutation": self.n_permutations}
        signature = ArraySpec(dims=("permutation",), sizes=sizes, dtype="uint32")
        return {"": ArraySpec(dims=("landmark",), dtype="uint32"), "minhash": signature}

    def extract(self, audio: Audio) -> Mapping[str, np.ndarray]:
        found = landmarks(heard(audio, RATE_HZ))
        return {"": found, "minhash": min_hash(found, n_permutations=self.n_permutations)}

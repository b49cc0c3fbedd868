"""What features of short frames share: how sound is cut, and spectra that are computed once for all that read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, ClassVar
from weakref import WeakKeyDictionary, finalize

import numpy as np
from annotated_types import Gt

from mmdata.core.sample import Audio
from mmdata.core.step import Extract, Feature
from mmdata.kernels.audio import mono, power_spectrum, resample

KEPT_BYTES = 256_000_000  # of waves and spectra that wait for another feature of the same sound


class Shared:
    """Arrays derived of a sound, kept for as long as the sound itself is, so that many features compute them once.

    Sounds are immutable, so what is kept is what would be computed. Once `limit_bytes` are held, nothing more is
    taken in: features are computed step by step over a chunk of samples, and casting out what came first would lose
    all of it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: WeakKeyDictionary[Audio, dict[Hashable, np.ndarray]] = WeakKeyDictionary()
        self._n_bytes = 0
        self._lock = threading.RLock()  # a sound may be let go of while this very thread holds it

    def get(self, audio: Audio, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of that key, made unless it is held. Don't write to it."""
        held = self._held.get(audio)
        found = None if held is None else held.get(key)
        if found is None:
            found = make()
            with self._lock:
                if self._n_bytes + found.nbytes <= self._limit_bytes:
                    self._keep(audio, key, found)
        return found

    def _keep(self, audio: Audio, key: Hashable, array: np.ndarray) -> None:
        if audio not in self._held:
            arrays: dict[Hashable, np.ndarray] = {}
            self._held[audio] = arrays
            finalize(audio, self._let_go, arrays).atexit = False
        if key not in self._held[audio]:  # another thread may have been first
            self._held[audio][key] = array
            self._n_bytes += array.nbytes

    def _let_go(self, arrays: dict[Hashable, np.ndarray]) -> None:
        with self._lock:
            self._n_bytes -= sum(array.nbytes for array in arrays.values())

    @property
    def n_bytes(self) -> int:
        """What is held now."""
        return self._n_bytes


_SHARED = Shared(KEPT_BYTES)


@dataclass(frozen=True, kw_only=True)
class FrameSettings(Feature[Audio]):
    """How sound is cut into frames. The defaults are librosa's: at 16 kHz its 2,048 and 512 samples are 128 and 32 ms.

    Args:
        rate_hz: the rate that is listened at.
        window_s: length of the Hann window. hop_s: from row to row; both are rounded to whole samples.
        n_fft: FFT length in samples, for windows to be padded to; None is the window's own.
    """

    on: str = "audio"
    rate_hz: Annotated[int, Gt(0)] = 16_000
    window_s: Annotated[float, Gt(0)] = 0.128
    hop_s: Annotated[float, Gt(0)] = 0.032
    n_fft: Annotated[int, Gt(0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 2 or self.hop < 1:
            raise ValueError(
                f"window_s and hop_s must be at least 2 and 1 samples of 1/{self.rate_hz} s, "
                f"not {self.window} and {self.hop}"
            )
        if self.n_fft is not None and self.n_fft < self.window:
            raise ValueError(f"n_fft must be at least the window's {self.window} samples, not {self.n_fft}")

    @property
    def window(self) -> int:
        return round(self.window_s * self.rate_hz)

    @property
    def hop(self) -> int:
        return round(self.hop_s * self.rate_hz)

    @property
    def fft_size(self) -> int:
        return self.n_fft or self.window

    @property
    def every_s(self) -> float:
        """Seconds between rows, of what is done."""
        return self.hop / self.rate_hz


@dataclass(frozen=True, kw_only=True)
class Framing(FrameSettings, Extract[Audio]):
    """What features of frames share: the channels' mean at `rate_hz`, in centred frames, as librosa has them.

    A clip of another rate is resampled in memory, so that all clips have the same hop. Row i is centred on i * hop
    seconds; a clip of n samples gives 1 + n // hop rows, one without any samples gives none. Features with the same
    settings share one FFT.
    """

    extra: ClassVar[str | None] = "audio"

    def wave(self, audio: Audio) -> np.ndarray:
        """The channels' mean at the rate that is listened at: float32 [time]."""
        return heard(audio, self.rate_hz)

    def power(self, audio: Audio, *, precise: bool = False) -> np.ndarray:
        """The power spectrum: float32 [time, bin], shared by all features with the same frames."""
        n_fft, window, hop = self.fft_size, self.window, self.hop
        key = ("power", self.rate_hz, n_fft, window, hop, precise)
        return _SHARED.get(
            audio,
            key,
            lambda: power_spectrum(self.wave(audio), n_fft=n_fft, window=window, hop=hop, precise=precise),
        )

    def magnitude(self, audio: Audio) -> np.ndarray:
        """Magnitudes of the spectrum, computed in float64 as librosa does: float32 [time, bin]."""
        root: np.ndarray = np.sqrt(self.power(audio, precise=True))
        return root


def heard(audio: Audio, rate_hz: int) -> np.ndarray:
    """The mean of the channels at another rate, computed once a sound: float32 [time]."""
    if audio.rate_hz == rate_hz and len(audio.samples) == 1:
        return np.asarray(audio.samples[0])
    return _SHARED.get(
        audio, rate_hz, lambda: resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=rate_hz)[0]
    )

"""What features of short frames share: how sound is cut, and spectra that are computed once for all that read them."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar
from weakref import WeakKeyDictionary, finalize

import numpy as np
from annotated_types import Gt

from mmdata.core.sample import Audio
from mmdata.core.step import Arrays, Extract, Feature
from mmdata.kernels.audio import mono, power_of, power_spectra, resample, spectra

KEPT_BYTES = 256_000_000  # of waves and spectra that wait for another feature of the same sound
GROUP_BYTES = 16_000_000  # of spectra of sounds that go through one FFT side by side
WHOLE_BYTES = 128_000_000  # a longer sound's spectrum is never held whole
N_TRIED = 128  # so many sounds' arrays are kept before it shows that none is asked for twice


class Shared:
    """Arrays derived of a sound, kept for as long as the sound itself is, so that many features compute them once.

    Sounds are immutable, so what is kept is what would be computed. Once `limit_bytes` are held, nothing more is
    taken in: features are computed step by step over a chunk of samples, and casting out what came first would lose
    all of it. What is kept without being asked for again, as there is no second feature with the same frames, would
    cost new memory for each sound: after `n_tried` sounds it no longer is, until a key is asked for twice of one.
    """

    def __init__(self, limit_bytes: int, n_tried: int = N_TRIED) -> None:
        self._limit_bytes, self._n_tried = limit_bytes, n_tried
        self._held: WeakKeyDictionary[Audio, dict[Hashable, np.ndarray | None]] = WeakKeyDictionary()  # None: let go
        self._n_once: Counter[Hashable] = Counter()  # by key, of how many sounds it was asked for
        self._several: set[Hashable] = set()  # keys that were asked for twice of one sound
        self._n_bytes = 0
        self._lock = threading.RLock()  # a sound may be let go of while this very thread holds it

    def get(self, audio: Audio, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of that key, made unless it is held. Don't write to it."""
        return self.get_all([audio], key, lambda _: [make()])[0]

    def get_all(
        self, audios: Sequence[Audio], key: Hashable, make: Callable[[Sequence[Audio]], Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """The array of each of several sounds; those that are not held are made together. Don't write to them."""
        found, lacking = {}, {}
        for audio in audios:
            held = self._held.get(audio, {})
            if key in held:
                self._several.add(key)
            array = held.get(key)
            if array is None:
                lacking[id(audio)] = audio
            else:
                found[id(audio)] = array
        if lacking:
            made = make(list(lacking.values()))
            for audio, array in zip(lacking.values(), made, strict=True):
                found[id(audio)] = array
                with self._lock:
                    self._keep(audio, key, array)
        return [found[id(audio)] for audio in audios]

    def _keep(self, audio: Audio, key: Hashable, array: np.ndarray) -> None:
        if audio not in self._held:
            arrays: dict[Hashable, np.ndarray | None] = {}
            self._held[audio] = arrays
            finalize(audio, self._let_go, arrays).atexit = False
        if self._held[audio].get(key) is not None:
            return  # another thread was first
        self._n_once[key] += 1
        is_worth_it = key in self._several or self._n_once[key] <= self._n_tried
        is_kept = is_worth_it and self._n_bytes + array.nbytes <= self._limit_bytes
        self._held[audio][key] = array if is_kept else None
        self._n_bytes += array.nbytes if is_kept else 0

    def _let_go(self, arrays: dict[Hashable, np.ndarray | None]) -> None:
        with self._lock:
            self._n_bytes -= sum(array.nbytes for array in arrays.values() if array is not None)

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
    seconds; a clip of n samples gives 1 + n // hop rows, one without any samples gives none.

    Features with the same settings share one FFT in float32. `SpectralBandwidth` and `SpectralContrast` have one in
    float64 for themselves, whose rounding lies far enough below the loudest bin for what they look at. A feature asks
    for the same one always, whichever other features there are, so its numbers do not hang on them.

    Several sounds are computed `together`: their frames go through one FFT side by side, in groups whose spectra take
    GROUP_BYTES at most. A sound's numbers are the same to the bit whoever else is in its group. One whose spectrum
    would take more than WHOLE_BYTES goes alone, block by block, and its spectrum is not kept for other features.
    """

    extra: ClassVar[str | None] = "audio"

    @abstractmethod
    def together(self, audios: Sequence[Audio], /) -> Sequence[Arrays]:
        """What `extract` gives, of several sounds, in order; a group of `extract_many`."""

    def extract_many(self, values: Sequence[Audio], /) -> Sequence[Arrays]:
        return [arrays for group in self._groups(values) for arrays in self.together(group)]

    def _groups(self, audios: Sequence[Audio]) -> Iterator[Sequence[Audio]]:
        first = n_bytes = 0
        for place, audio in enumerate(audios):
            more = self._spectrum_bytes(audio)
            if place > first and n_bytes + more > GROUP_BYTES:
                yield audios[first:place]
                first, n_bytes = place, 0
            n_bytes += more
        if first < len(audios):
            yield audios[first:]

    def _spectrum_bytes(self, audio: Audio) -> int:
        """About how much the power spectrum of a sound takes."""
        n_bins = self.fft_size // 2 + 1
        return int(audio.duration_s / self.every_s + 1) * n_bins * 4

    def waves(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        """The channels' mean of each, at the rate that is listened at: float32 [time]."""
        return [heard(audio, self.rate_hz) for audio in audios]

    def powers(self, audios: Sequence[Audio], *, precise: bool = False) -> list[np.ndarray]:
        """The power spectrum of each: float32 [time, bin], shared by all features with the same frames."""
        n_fft, window, hop = self.fft_size, self.window, self.hop
        key = ("power", self.rate_hz, n_fft, window, hop, precise)
        return _SHARED.get_all(
            audios,
            key,
            lambda lacking: power_spectra(self.waves(lacking), n_fft=n_fft, window=window, hop=hop, precise=precise),
        )

    def read(
        self, audios: Sequence[Audio], of_power: Callable[[np.ndarray], np.ndarray], *, precise: bool = False
    ) -> list[np.ndarray]:
        """What a function of power spectra gives for each sound, if row i of its result hangs on row i alone.

        Args:
            audios: the sounds.
            of_power: float32 [time, bin] to [time, ...]; it may not write to what it is given.
            precise: of spectra computed in float64, as librosa does: its reason is given where it is asked for.
        """
        if len(audios) == 1 and self.goes_alone(audios[0]):
            return [np.concatenate([of_power(power) for power in self.blocks(audios[0], precise=precise)])]
        return [of_power(power) for power in self.powers(audios, precise=precise)]

    def goes_alone(self, audio: Audio) -> bool:
        """Whether a sound is too long for its whole spectrum to be held."""
        return self._spectrum_bytes(audio) > WHOLE_BYTES

    def blocks(self, audio: Audio, *, precise: bool = False) -> Iterator[np.ndarray]:
        """The power spectrum of a long sound, one stretch after the other: float32 [time, bin]."""
        (wave,) = self.waves([audio])
        for _, block in spectra([wave], n_fft=self.fft_size, window=self.window, hop=self.hop, precise=precise):
            yield power_of(block)


@dataclass(frozen=True, kw_only=True)
class FrameArray(Framing):
    """Features of frames that are one array."""

    @abstractmethod
    def together(self, audios: Sequence[Audio], /) -> list[np.ndarray]:
        """The array of each sound, in order."""

    def extract(self, audio: Audio) -> np.ndarray:
        (array,) = self.together([audio])
        return array


def heard(audio: Audio, rate_hz: int) -> np.ndarray:
    """The mean of the channels at another rate, computed once a sound: float32 [time]."""
    if audio.rate_hz == rate_hz and len(audio.samples) == 1:
        return np.asarray(audio.samples[0])
    return _SHARED.get(
        audio, rate_hz, lambda: resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=rate_hz)[0]
    )

"""Where somebody speaks: probabilities by Silero VAD, whose weights its package carries, and spans made of them."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
FRAME, CONTEXT = 512, 64  # samples that the model is given at once, and those before them that it also sees
BLOCK = 512  # frames a call
WEIGHTS = "data/silero_vad_16k_sequence.onnx"


def speech_probability(wave: np.ndarray) -> np.ndarray:
    """How probably somebody speaks, every 32 ms (Silero Team, "Silero VAD", https://github.com/snakers4/silero-vad).

    Args:
        wave: float32 [time], at 16 kHz.

    Returns:
        float32 [frame]; the last frame is filled up with silence.
    """
    n_frames = -(-wave.size // FRAME)
    padded = np.zeros(CONTEXT + n_frames * FRAME, np.float32)
    padded[CONTEXT : CONTEXT + wave.size] = wave
    found = np.empty(n_frames, np.float32)
    state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
    for first in range(0, n_frames, BLOCK):
        last = min(first + BLOCK, n_frames)
        stretch = padded[first * FRAME : CONTEXT + last * FRAME]
        frames = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(stretch, FRAME + CONTEXT)[::FRAME])
        found[first:last], state["h"], state["c"] = _session().run(None, {"input": frames, **state})
    return found


@lru_cache(maxsize=1)
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker has one core
    return onnxruntime.InferenceSession(str(weights()), options, providers=["CPUExecutionProvider"])


def weights() -> Path:
    """The model's file. The package is not imported, as it would import torch.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'silero_vad'", name="silero_vad")
    return Path(found.submodule_search_locations[0]) / WEIGHTS


def speech_seconds(
    wave: np.ndarray, *, threshold: float, min_speech_s: float, min_silence_s: float
) -> list[tuple[float, float]]:
    """Stretches in which somebody speaks, [start, end) in seconds; the last may end up to 32 ms after the sound.

    Args:
        wave: float32 [time], at 16 kHz.
        threshold: probability from which on somebody speaks.
        min_speech_s: shorter stretches are left out.
        min_silence_s: shorter pauses are part of the speech.
    """
    found = speech_spans(
        speech_probability(wave),
        threshold=threshold,
        min_speech=-int(-min_speech_s * RATE_HZ // FRAME),
        min_silence=max(1, -int(-min_silence_s * RATE_HZ // FRAME)),
    )
    return [(first * FRAME / RATE_HZ, last * FRAME / RATE_HZ) for first, last in found]


def model_version() -> str:
    """The version of the package that the model comes in: other weights find other speech. "" where it is not there."""
    try:
        return version("silero-vad")
    except PackageNotFoundError:
        return ""


def speech_spans(
    probability: np.ndarray, *, threshold: float, min_speech: int, min_silence: int
) -> list[tuple[int, int]]:
    """Stretches of speech in frames, [first, last), as Silero's `get_speech_timestamps` finds them, without padding.

    Speech begins at the threshold and ends where it stays 0.15 below for `min_silence` frames.

    Args:
        probability: float32 [frame].
        threshold: 0 to 1.
        min_speech: shorter stretches, in frames, are left out.
        min_silence: shorter pauses, in frames, are part of the speech.

    >>> speech_spans(np.array([0, 1, 1, 0.4, 1, 0, 0, 0, 1]), threshold=0.5, min_speech=2, min_silence=2)
    [(1, 5)]
    """
    spans, start, end = [], -1, -1
    for frame, value in enumerate(probability.tolist()):
        if value >= threshold:
            start, end = (frame if start < 0 else start), -1
        elif start >= 0 and value < max(threshold - 0.15, 0.01):
            end = frame if end < 0 else end
            if frame - end >= min_silence:
                spans.append((start, end))
                start, end = -1, -1
    if start >= 0:
        spans.append((start, len(probability) if end < 0 else end))
    return [(first, last) for first, last in spans if last - first >= min_speech]

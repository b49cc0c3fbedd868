"""Patients with a scan, a record and an ECG, some of which are missing: two findings of three are a risk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Image
from mmdata.testing.media import png_bytes, wav_bytes
from mmdata.testing.pictures import drift, shape
from mmdata.testing.systems.worlds import Drawn, System, World

TRUE = 0.97
MISSING = {"scan": 0.2, "record": 0.1, "ecg": 0.3}
SCAN_PX, RATE_HZ, SECONDS = 32, 250, 6.0


def weigh(scan: int, record: int, ecg: int) -> list[float]:
    """How likely a low and a high risk are with these findings: high with two of them or three, or else by mistake."""
    high = int(scan + record + ecg >= 2)
    return [TRUE if label == high else 1 - TRUE for label in (0, 1)]


def scan(found: int, rng: np.random.Generator) -> Image:
    """A grey texture; the finding is a bright spot somewhere."""
    size = SCAN_PX
    grey = drift(size, size, seed=int(rng.integers(1 << 32)), contrast=0.35).mean(axis=2, keepdims=True) * 0.6
    if found:
        spot = shape("disc", size, size, center_px=tuple(size * rng.uniform(0.25, 0.75, 2)), radius_px=size / 9)
        grey[spot] = rng.uniform(200, 250)
    return Image(np.repeat(grey.astype(np.uint8), 3, axis=2))


def record(found: int, rng: np.random.Generator) -> dict[str, Any]:
    """Age, sex, smoking and blood pressure, which is the finding where it is high; one of the others lacks at times."""
    pressure = rng.uniform(150, 185) if found else rng.uniform(100, 135)
    known: dict[str, Any] = {
        "age": int(rng.integers(20, 90)),
        "sex": str(rng.choice(["f", "m"])),
        "smoker": bool(rng.random() < 0.3),
        "pressure": round(float(pressure)),
    }
    if rng.random() < 0.2:
        known.pop(str(rng.choice(["age", "sex", "smoker"])))
    return known


def ecg(found: int, rng: np.random.Generator) -> Audio:
    """A beat's small wave, spike and later wave, again and again; the finding is a fast heart. 250 samples a second."""
    beats_hz = (rng.uniform(115, 150) if found else rng.uniform(55, 85)) / 60
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    place = (time_s * beats_hz + rng.random()) % 1 / beats_hz  # seconds since the beat began
    waves = ((0.12, 0.05, 0.02), (0.6, 0.11, 0.008), (-0.12, 0.135, 0.01), (0.2, 0.27, 0.035))  # height, when, width
    wave = sum(height * np.exp(-0.5 * ((place - at) / width) ** 2) for height, at, width in waves)
    return Audio((wave + 0.02 * rng.standard_normal(len(time_s)))[None].astype(np.float32), RATE_HZ)


def write(folder: Path, drawn: Sequence[Drawn], world: World, seed: int) -> None:
    """`patients.jsonl`, a line a patient, with the paths of what there is: `scans`, `records` (JSON), `ecgs` (WAV)."""
    for name in ("scans", "records", "ecgs"):
        (folder / name).mkdir(exist_ok=True)
    with (folder / "patients.jsonl").open("w", encoding="utf-8") as file:
        for index, sample in enumerate(drawn):
            rng, key = rng_for(seed, "patients", index), f"{index:05d}"
            row: dict[str, Any] = {"id": key, "risk": world.labels[sample.label]}
            for part, data in _files(sample, rng).items():
                path = f"{part}s/{key}.{'png' if part == 'scan' else 'json' if part == 'record' else 'wav'}"
                (folder / path).write_bytes(data)
                row[part] = path
            file.write(json.dumps(row) + "\n")


def _files(sample: Drawn, rng: np.random.Generator) -> dict[str, bytes]:
    """The parts that a patient has."""
    made = {
        "scan": lambda found: png_bytes(scan(found, rng)),
        "record": lambda found: json.dumps(record(found, rng)).encode(),
        "ecg": lambda found: wav_bytes(ecg(found, rng)),
    }
    return {part: made[part](found) for part, found in sample.shown.items()}


PATIENTS = System(
    "patients", World.of(("low", "high"), {"scan": 2, "record": 2, "ecg": 2}, weigh, missing=MISSING), write
)

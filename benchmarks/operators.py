"""Milliseconds of one core that each step takes for one sample, into mmdata/config/costs.json, for the table of steps.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/operators.py          # all steps, some 3 minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/operators.py clean.text

Then `mmdata schema --out schemas` makes the table. Each step has its default settings, or those below where it needs
some, and one value of its kind. The processor's time counts, not the clock's, the least of a few rounds; what is loaded
or remembered at the first call is not in it. A model's step runs one sample alone. Steps that need a file or a model of
a user's are left out, and so is what fails here: it is named.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import platform
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mmdata.codec.decoders import decode
from mmdata.config.names import steps
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.core.sample import Array, Audio, Blob, Frames, Image, Sample, Text, Video
from mmdata.core.step import BatchExtract, Extract, Feature, Filter, Map, RandomMap, Split, Step, address
from mmdata.engine.models import compute
from mmdata.testing.build import caption, jpeg_bytes, moving_shapes, mp4_bytes, noise, picture, tone, wav_bytes

OUT = Path(__file__).parents[1] / "mmdata/config/costs.json"
VALUES = (
    "4,000 characters of English, a picture of 640 x 480 (JPEG of quality 95), 10 s of mono sound of 16 kHz (WAV), "
    "40 frames of 320 x 240, a film of these (H.264, 8 fps), a spectrum of 1,000 x 80"
)
ROUNDS, LEAST_S, N_VALUES = 3, 0.05, 8
# what a step must be told, without a file
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "clean.text.DropListedWords": {"words": ("zebra", "free money")},
    "clean.text.RemoveWords": {"stop_words": "en"},
    "clean.text.RemoveCharacters": {"kinds": ("punctuation",)},
    "clean.text.ReplacePattern": {"pattern": r"\d+", "by": "0"},
    "augment.text.ReplaceWords": {"table": (("small", "little"), ("house", "building"))},
    "augment.video.AugmentFrames": {"step": {"use": "augment.image.RotateImage"}},
    "clean.video.EachFrame": {"step": {"use": "clean.image.SharpenImage"}},
    "clean.video.KeepByFrames": {"step": {"use": "clean.image.KeepExposure"}},
}


@cache
def text(seed: int = 0) -> Text:
    return Text(" ".join(caption(seed + number).text for number in range(140))[:4000])


@cache
def image() -> Image:
    return picture(640, 480)


@cache
def audio() -> Audio:
    mixed = tone(10.0).samples + 0.1 * noise(10.0).samples
    return Audio((0.5 * mixed).astype(np.float32), 16_000)


@cache
def frames() -> Frames:
    return moving_shapes(40, 320, 240)[0]


@cache
def film() -> Blob:
    return Blob.of(mp4_bytes(frames(), audio=audio()), name="a.mp4")


def blob(name: str) -> Blob:
    """What a decoder of a module reads."""
    if ".image." in name:
        return Blob.of(jpeg_bytes(image()), name="a.jpg")
    if ".audio." in name:
        return Blob.of(wav_bytes(audio()), name="a.wav")
    return film() if ".video." in name else Blob.of(text().text.encode(), name="a.txt")


def value_for(step: Step, seed: int = 0) -> Any:
    """A value of the kind that a step takes; texts differ by the seed."""
    makers: Mapping[type, Callable[[], Any]] = {
        Text: partial(text, seed),
        Image: image,
        Audio: audio,
        Frames: frames,
        Video: lambda: decode(film(), Video),
        Blob: partial(blob, step.name),
        Array: lambda: Array(np.random.default_rng(0).normal(size=(1000, 80)).astype(np.float32), SPECTRUM),
    }
    if step.takes is Sample or step.takes not in makers:
        return Sample("a", {"text": text(), "image": image(), "audio": audio(), "video": makers[Video]()})
    value = makers[step.takes]()
    return Sample("a", {step.on or "": value}) if isinstance(step, Split) else value


SPECTRUM = ArraySpec(dims=("time", "mel"), sizes={"mel": 80})


def call_of(step: Step) -> Callable[[Any], Any]:
    """What one sample asks of a step."""
    match step:
        case Map():
            return step.map
        case RandomMap():
            numbers = iter(range(1 << 30))  # other draws at each call
            return lambda value: step.map(value, rng_for(next(numbers), step.name))
        case Filter():
            return step.keep
        case Split():
            return step.split
        case Extract():
            return step.extract
        case BatchExtract():
            model = step.load("cpu")
            return lambda value: step.extract(model, [step.prepare(value)])
        case Feature():
            return partial(compute, step)
    raise TypeError(f"{step.name} is of no known kind")


def milliseconds(step: Step) -> float:
    """The least mean of some rounds. Every call has an object of its own, as kernels remember what they made of one."""
    call = call_of(step)
    values = [value_for(step, 1000 * number) for number in range(N_VALUES)]
    call(values[-1])
    found = []
    for _ in range(ROUNDS):
        n_calls, taken = 0, 0.0
        while taken < LEAST_S:
            value = dataclasses.replace(values[n_calls % N_VALUES])
            start = time.process_time()
            call(value)
            taken += time.process_time() - start
            n_calls += 1
        found.append(1000 * taken / n_calls)
    return min(found)


def machine() -> str:
    """The processor, by the name that it gives itself."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} cores, Python {platform.python_version()}"


def main() -> None:
    """Measure what is asked for, and keep what was measured of the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of addresses, such as clean.text; all where none is given")
    wanted = tuple(parser.parse_args().names) or ("",)
    known = {address(cls): cls for cls in steps()}
    costs = json.loads(OUT.read_text("utf-8"))["ms"] if OUT.exists() else {}
    costs = {name: cost for name, cost in costs.items() if name in known and not name.startswith(wanted)}
    for name, cls in sorted(known.items()):
        if not name.startswith(wanted):
            continue
        try:
            step = cls(**SETTINGS.get(name, {}))
            costs[name] = float(f"{milliseconds(step):.2g}")
        except Exception as error:  # noqa: BLE001  a step that needs more than there is here has no cost
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}")
    about = {
        "command": "python benchmarks/operators.py",
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "values": VALUES,
    }
    OUT.write_text(json.dumps({"about": about, "ms": dict(sorted(costs.items()))}, indent=1) + "\n", "utf-8")
    print(f"{len(costs)} of {len(known)} steps in {OUT.name}")


if __name__ == "__main__":
    main()

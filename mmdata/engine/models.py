"""Loaded models: once a process and device, for as long as there are not too many."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

from mmdata.core.step import Arrays, BatchExtract, Extract, Feature
from mmdata.core.watch import Watch
from mmdata.engine.devices import compiled, computing
from mmdata.engine.watching import watch_alone
from mmdata.errors import ConfigError, StepError

log = logging.getLogger(__name__)

MOST_LOADED = 8
_loaded: OrderedDict[tuple[str, str, bool], Any] = OrderedDict()
_loading = threading.Lock()


def model_of(step: BatchExtract[Any], device: str, *, compile_it: bool = False) -> Any:
    """A step's model on a device.

    Raises:
        StepError: it can't be loaded; that is no sample's fault, so it must end the run.
        ConfigError: as the step raised it, where a package or a file is not there.
    """
    name = step.fingerprint(), device, compile_it
    with _loading:
        if name not in _loaded:
            log.debug("step=%s device=%s loading its model", step.name, device)
            model = _load(step, device)
            _loaded[name] = compiled(model) if compile_it else model
            while len(_loaded) > MOST_LOADED:
                _loaded.popitem(last=False)
        _loaded.move_to_end(name)
        return _loaded[name]


def _load(step: BatchExtract[Any], device: str) -> Any:
    try:
        return step.load(device)
    except (ConfigError, StepError):
        raise
    except Exception as error:
        raise StepError(
            f"{step.name} ({step.into}) could not load its model on {device}: {type(error).__name__}: {error}"
        ) from error


def together(step: BatchExtract[Any], model: Any, prepared: Sequence[Any], device: str) -> Sequence[Arrays]:
    """What a model gives for prepared values: one result a value."""
    with computing(device, step.precision):
        found = step.extract(model, prepared)
    if len(found) != len(prepared):
        raise StepError(f"{step.name} gave {len(found)} results for a group of {len(prepared)}")
    return found


def compute(step: Feature[Any], value: Any, device: str = "cpu") -> Arrays:
    """What a feature gives for one value, alone."""
    if isinstance(step, BatchExtract):
        return together(step, model_of(step, device), [step.prepare(value)], device)[0]
    if isinstance(step, Watch):
        return watch_alone(step, value)
    return cast(Extract[Any], step).extract(value)

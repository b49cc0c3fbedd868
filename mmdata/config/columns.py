"""A file of steps by column, for streams of media: what a pipeline file says of its steps, each column for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from mmdata.config.load import MAX_BYTES, parse
from mmdata.config.yaml12 import read_yaml
from mmdata.core.step import Step
from mmdata.errors import ConfigError


def steps_by_column(path: str | Path) -> dict[str, Sequence[Step]]:
    """The steps of a YAML file: {image: [{use: clean.image.CropImage, width_px: 64, height_px: 64}]}.

    Raises:
        ConfigError: with all the faults of the file.
    """
    where = str(path)
    try:
        raw = Path(path).read_bytes()
        if len(raw) > MAX_BYTES:
            raise ConfigError(where, [f"is {len(raw):,} bytes long; expected a few lines of YAML"])
        given = read_yaml(raw.decode("utf-8"))
    except OSError as error:
        raise ConfigError(where, [f"can't be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(where, [f"is not YAML: {getattr(error, 'problem', None) or error}"]) from error
    if not isinstance(given, Mapping):
        raise ConfigError(where, ["expected columns, with a list of steps for each"])
    steps: dict[str, Sequence[Step]] = {}
    faults: list[str] = []
    for column, items in given.items():
        try:
            steps[str(column)] = parse(json.dumps({"ingest": items}), where=where).pipeline.ingest
        except ConfigError as error:
            faults += [f"{column}{fault.removeprefix('ingest')}" for fault in error.faults]
    if faults:
        raise ConfigError(where, faults)
    return steps

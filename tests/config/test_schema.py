"""The schemas that editors read: current, and of one mind with the reader of pipeline files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import mmdata
from mmdata import api
from mmdata.config.load import parse
from mmdata.config.names import sources, steps
from mmdata.config.schema import pipeline_schema, schema_files
from mmdata.config.yaml12 import read_yaml
from mmdata.core.step import address
from mmdata.errors import ConfigError
from mmdata.train.config import TrainConfig

ROOT = Path(mmdata.__file__).parent.parent
PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = pipeline_schema(TrainConfig)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_files_of_schemas_are_current() -> None:
    """If this fails: mmdata schema --out schemas."""
    stored = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas").iterdir()}
    assert stored == schema_files(TrainConfig)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_pipeline_of_ours_is_accepted(validator: Draft202012Validator, path: Path) -> None:
    validator.validate(read_yaml(path.read_text(encoding="utf-8")))


def test_every_step_and_source_is_in_it(validator: Draft202012Validator) -> None:
    text = json.dumps(validator.schema)
    assert [name for cls in [*steps(), *sources()] if (name := f'"const": "{address(cls)}"') not in text] == []


ACCEPTED = """
{}
---
seed: 3
---
source: {use: source.files.Files}
---
source: {use: source.files.Files, root: x, parts: {image: "{stem}.png", text: ["{stem}.txt", "{stem}.md"]}, label: top}
---
source: {use: source.table.Table, parts: {text: caption}, inline: [text]}
---
ingest: [clean.text.NormalizeText, {use: clean.image.ResizeImage, size_px: 64, side: shortest}]
---
ingest: [{use: clean.audio.KeepDuration, on: speech, max_s: 3, min_s: null}]
---
features: [{use: features.audio.Mfcc, on: speech, into: speech.m, n_mfcc: 13}]
---
plugins: [mine]
ingest: [{use: mine.steps.Shout, marks: 2}, mine.steps.Whisper]
---
run: {shard_samples: 10, max_rejects: 0.5}
select: {name: v1, where: "a > 1", split: {folds: 5, group: text}}
"""

REJECTED = """
sead: 3
---
seed: soon
---
source: {use: source.files.Files, part: x}
---
source: {use: source.files.Files, label: middle}
---
source: {use: source.table.Table}
---
source: {use: source.files.Nope}
---
ingest: [{use: clean.audio.KeepDuration, max_sec: 3}]
---
ingest: [{use: clean.image.ResizeImage, side: both}]
---
ingest: [{use: clean.image.ResizeImage, size_px: 0}]
---
ingest: [{use: features.audio.Mfcc}]
---
ingest: [clean.text.Nope]
---
ingest: [{use: clean.text.Nope}]
---
ingest: [{on: speech}]
---
features: [{use: features.audio.Mfcc, n_mfcc: -1}]
---
features: [{use: clean.text.NormalizeText}]
---
store: {image: 95}
---
run: {max_rejects: 2}
---
run: {workers: 2}
---
select: [1]
"""


def documents(text: str) -> list[Any]:
    return [pytest.param(read_yaml(document), id=document[:60]) for document in text.strip().split("\n---\n")]


@pytest.mark.parametrize("value", documents(ACCEPTED))
def test_what_the_reader_takes_the_schema_takes(validator: Draft202012Validator, value: Any) -> None:
    assert [error.message for error in validator.iter_errors(value)] == []
    if "plugins" not in value:
        parse(yaml.safe_dump(value), source="data")


@pytest.mark.parametrize("value", documents(REJECTED))
def test_what_the_reader_refuses_the_schema_refuses(validator: Draft202012Validator, value: Any) -> None:
    assert list(validator.iter_errors(value))
    with pytest.raises(ConfigError):
        api.check(parse(yaml.safe_dump(value), source="data"))

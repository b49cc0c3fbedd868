"""The JSON schema of pipeline files: what an editor completes them by, made from the steps themselves."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from mmdata.config.names import STAGES, sources, steps
from mmdata.config.operators import operators
from mmdata.core.pipeline import RunSettings
from mmdata.core.step import Feature, address

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def pipeline_schema(training: type[object]) -> dict[str, Any]:
    """The schema of a whole pipeline file; `training` are the settings of its train section."""
    shared: dict[str, Any] = {}
    every = list(steps())
    ingest = [_use(cls, shared) for cls in every if not issubclass(cls, Feature)]
    features = [_use(cls, shared) for cls in every if issubclass(cls, Feature)]
    source = [_use(cls, shared, optional=dataclasses.fields(cls)[0].name) for cls in sources()]
    return {
        "$schema": DIALECT,
        "title": "mmdata pipeline",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "plugins": _list({"type": "string"}, "packages of your own, whose steps are named by full import path"),
            "seed": {"type": "integer", "default": 0, "description": "decides all randomness of ingest steps"},
            "source": {"description": "where samples come from", "oneOf": source},
            "ingest": _list(_one_of(ingest), "steps from raw to stored, in order"),
            "store": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "the parts that are kept, and how encoded: auto, copy, reference, jpeg:95, png, flac...",
            },
            "features": _list(_one_of(features), "families of features to compute"),
            "run": _settings(RunSettings, shared),
            "select": {
                "type": "object",
                "description": "which samples are used: name, where, dedup, against, split, balance",
            },
            "train": _settings(training, shared) | {"description": "what is learned from which inputs, and how"},
        },
        "$defs": dict(sorted(shared.items())),
    }


def schema_files(training: type[object]) -> dict[str, str]:
    """The files of `schemas/`, by name: of pipeline files, of the store's tables, and the table of all steps.

    `training` are the settings of a train section.
    """
    from mmdata.store.tables import table_schemas

    schemas = {"pipeline.schema.json": pipeline_schema(training), "store.tables.json": table_schemas()}
    written = {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in schemas.items()}
    return {**written, "operators.md": operators()}


def _list(items: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "description": description}


def _one_of(uses: list[dict[str, Any]]) -> dict[str, Any]:
    """A step with settings, or its bare name. Any name that is not of our stages may be a plugin's."""
    foreign = {"type": "string", "not": {"pattern": rf"^({'|'.join(STAGES)}|source)\."}}
    own = {"type": "object", "required": ["use"], "properties": {"use": foreign}}
    return {"anyOf": [{"enum": [use["properties"]["use"]["const"] for use in uses]}, *uses, foreign, own]}


def _use(cls: type[object], shared: dict[str, Any], *, optional: str | None = None) -> dict[str, Any]:
    """One step: its name as a constant, and its settings. `optional` may come from the command line instead."""
    found = _settings(cls, shared)
    summary = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    required = [name for name in found.get("required", []) if name != optional]
    return {
        "type": "object",
        "description": summary,
        "properties": {"use": {"const": address(cls)}, **found["properties"]},
        "required": ["use", *required],
        "additionalProperties": False,
    }


def _settings(cls: type[Any], shared: dict[str, Any]) -> dict[str, Any]:
    schema = TypeAdapter(cls).json_schema()
    shared.update(schema.pop("$defs", {}))
    secret = {field.name for field in dataclasses.fields(cls) if "secret" in field.metadata}
    given = schema.get("properties", {})
    properties = {name: _tidy(value) for name, value in given.items() if name not in secret}
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": schema["required"]} if "required" in schema else {})


def _tidy(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in setting.items() if name != "title"}

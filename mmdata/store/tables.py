"""The schemas of all tables, and the Parquet settings that follow from them.

A feature's file holds `key`, a column an array, and `FAMILY#error` (null where the feature is sound):

    a scalar            a native column: bool, int8 to int64, float32 or float64. uint8 to uint32 take the next wider
                        signed type and float16 takes float32, as Delta has neither; uint64 takes 8 raw bytes
    all axes fixed      FixedSizeBinary: the array's bytes, little-endian, in C order
    an axis varies      Binary, and an int32 column NAME#AXIS for each axis that varies

The ArraySpec stands as JSON in the field's metadata, under "mmdata.spec". A null is a feature that failed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store.layout import DROPS, PLANS, REJECTS, RUNS, SAMPLES, checked_column

SPEC = b"mmdata.spec"
# a dictionary of values that hardly repeat costs more than it saves
_UNIQUE = ("key", "meta", "entry", "pointer", "first_key", "last_key")
ROWS_A_GROUP = 1_000
BYTES_A_GROUP = 8 << 20

_text = pa.string()
PART = pa.struct(
    [
        pa.field("name", _text, nullable=False),
        pa.field("kind", _text, nullable=False),
        pa.field("extension", _text, nullable=False),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("pointer", _text),
        pa.field("encoding", _text, nullable=False),
        pa.field("map", _text),
    ]
)
_KEY = pa.field("key", _text, nullable=False)
FILES: Mapping[str, pa.Schema] = {
    SAMPLES: pa.schema(
        [
            _KEY,
            pa.field("parent", _text),
            pa.field("label", _text),
            pa.field("meta", _text, nullable=False),
            pa.field("text", pa.map_(_text, _text), nullable=False),
            pa.field("parts", pa.list_(pa.field("element", PART, nullable=False)), nullable=False),
            pa.field("digests", pa.map_(_text, _text)),  # of the bytes of stored parts; older files have none
        ]
    ),
    DROPS: pa.schema([_KEY, ("step", _text), ("reason", _text), ("pointer", _text)]),
    REJECTS: pa.schema(
        [_KEY, ("step", _text), ("kind", _text), ("error", _text), ("traceback", _text), ("pointer", _text)]
    ),
    PLANS: pa.schema(  # a file has the columns of shards, or those of entries: see entries.py
        [
            ("op", _text),
            ("shard", _text),
            ("entries", pa.int64()),
            ("size_bytes", pa.int64()),
            ("parts", _text),
            ("first_key", _text),
            ("last_key", _text),
            ("file", _text),
            ("row_group", pa.int32()),
            ("heir", _text),
            ("position", pa.int64()),
            ("key", _text),
            ("entry", _text),
        ]
    ),
    RUNS: pa.schema(
        [
            ("started", _text),
            ("finished", _text),
            ("command", _text),
            ("pipeline", _text),
            ("code_version", _text),
            ("counts", _text),
            ("seconds", pa.float64()),
            ("machine", _text),
        ]
    ),
}
# what the log itself says of each file: Delta's partition columns, so they survive checkpoints
LOGGED: Mapping[str, tuple[str, ...]] = {
    SAMPLES: ("source", "shard", "fp", "keys", "digest", "media", "media_bytes", "media_digest"),
    DROPS: ("source", "shard", "fp", "keys", "digest"),
    REJECTS: ("source", "shard", "fp", "keys", "digest"),
    PLANS: ("source", "version", "holds", "digest"),
    RUNS: ("run", "state", "recipe", "digest"),
}
LOGGED_OF_FEATURES = ("shard", "fp", "keys", "digest")


def logged(family: str) -> tuple[str, ...]:
    """The partition columns of a family's table."""
    return LOGGED.get(family, LOGGED_OF_FEATURES)


def is_scalar(spec: ArraySpec) -> bool:
    """Whether the feature is a native column, which a `where` can speak of."""
    return spec.dims == ()


def storage_type(spec: ArraySpec) -> pa.DataType:
    """The Arrow type that an array is stored as."""
    if not is_scalar(spec):
        return pa.binary(spec.item_bytes) if spec.item_bytes else pa.binary()
    dtype = np.dtype(spec.dtype)
    wider = {"uint8": "int16", "uint16": "int32", "uint32": "int64", "float16": "float32"}
    if dtype.name == "uint64":
        return pa.binary(8)
    return pa.from_numpy_dtype(np.dtype(wider.get(dtype.name, dtype.name)))


def error_column(family: str) -> str:
    return f"{family}#error"


def length_columns(column: str, spec: ArraySpec) -> list[str]:
    """The columns with the sizes of a varying array's axes."""
    return [f"{column}#{dim}" for dim in spec.varying]


def feature_schema(family: str, columns: Mapping[str, ArraySpec]) -> pa.Schema:
    """The schema of a family's files.

    Raises:
        StoreError: there are no columns, a name can't be one, or a column would stand for two things.
    """
    if not columns:
        raise StoreError(f"family {family!r} promises no columns")
    fields = [_KEY]
    for column, spec in columns.items():
        fields.append(pa.field(checked_column(column), storage_type(spec), metadata={SPEC: spec.to_json().encode()}))
        fields += [pa.field(name, pa.int32()) for name in length_columns(column, spec)]
    fields.append(pa.field(error_column(family), _text))
    names = [field.name for field in fields]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise StoreError(f"family {family!r} would have two columns {double[0]!r}: rename the axis or the feature")
    return pa.schema(fields)


def specs_of(schema: pa.Schema) -> dict[str, ArraySpec]:
    """The promises that a feature file carries, by column.

    Raises:
        SchemaMismatch: a promise can't be read, or the file's types are not those of its promises.
    """
    specs = {}
    for field in schema:
        if field.metadata and SPEC in field.metadata:
            try:
                spec = ArraySpec.from_json(field.metadata[SPEC].decode())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SchemaMismatch(f"column {field.name!r} has no promise that can be read: {error}") from error
            if field.type != (promised := storage_type(spec)):
                raise SchemaMismatch(f"column {field.name!r} is {field.type}, its spec {spec} wants {promised}")
            specs[field.name] = spec
    return specs


def delta_schema(family: str, columns: Mapping[str, ArraySpec]) -> pa.Schema:
    """The table's schema in the log: the file's, in Delta's own types, and what is logged of each file."""
    file = FILES.get(family)
    fields = list(feature_schema(family, columns) if file is None else file)
    plain = [pa.field(field.name, _delta_type(field.type), nullable=True) for field in fields]
    return pa.schema([*plain, *(pa.field(name, _text) for name in logged(family))])


def _delta_type(stored: pa.DataType) -> pa.DataType:
    return pa.binary() if pa.types.is_fixed_size_binary(stored) else stored


def writer_settings(schema: pa.Schema) -> dict[str, object]:
    """How Parquet files of this schema are written: raw tensors, compressed text, statistics where they help."""
    is_text, is_number = pa.types.is_string, pa.types.is_primitive
    raw = {each.name for each in schema if pa.types.is_binary(each.type) or pa.types.is_fixed_size_binary(each.type)}
    flat = [each for each in schema if not pa.types.is_nested(each.type) and each.name not in raw]
    return {
        "compression": {name: "none" if name in raw else "zstd" for name in _leaves(schema)},
        "use_dictionary": [each.name for each in flat if is_text(each.type) and each.name not in _UNIQUE],
        "write_statistics": [each.name for each in flat if each.name == "key" or is_number(each.type)],
        "version": "2.6",
    }


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the Parquet columns, as the writer's settings name them."""
    leaves: list[str] = []
    for field in schema:
        if pa.types.is_map(field.type):
            leaves += [f"{field.name}.key_value.key", f"{field.name}.key_value.value"]
        elif pa.types.is_list(field.type):
            leaves += [f"{field.name}.list.element.{inner.name}" for inner in field.type.value_type]
        else:
            leaves.append(field.name)
    return leaves


def table_schemas() -> dict[str, object]:
    """Each table's columns and their types, as JSON can say it; for `mmdata schema`."""
    tables: dict[str, object] = {}
    for family, schema in FILES.items():
        columns = [{"name": field.name, "type": str(field.type), "nullable": field.nullable} for field in schema]
        tables[family] = {"columns": columns, "logged": list(logged(family))}
    rule = [
        {"name": "key", "type": "string", "nullable": False},
        {"name": "COLUMN", "type": "native scalar, fixed_size_binary or binary; ArraySpec in metadata mmdata.spec"},
        {"name": "COLUMN#AXIS", "type": "int32", "nullable": True},
        {"name": "FAMILY#error", "type": "string", "nullable": True},
    ]
    tables["features/FAMILY"] = {"columns": rule, "logged": list(LOGGED_OF_FEATURES)}
    return tables

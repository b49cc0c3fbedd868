"""The tables' schemas are what the files have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.errors import SchemaMismatch
from mmdata.store.tables import FILES, SPEC, feature_schema, specs_of, storage_type, table_schemas

Made = Any  # the fixtures' class; conftest can't be imported


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (ArraySpec(), pa.float32()),
        (ArraySpec(dtype="bool"), pa.bool_()),
        (ArraySpec(dtype="uint8"), pa.int16()),
        (ArraySpec(dtype="uint32"), pa.int64()),
        (ArraySpec(dtype="uint64"), pa.binary(8)),
        (ArraySpec(dtype="float16"), pa.float32()),
        (ArraySpec(dims=("a",), sizes={"a": 3}, dtype="float16"), pa.binary(6)),
        (ArraySpec(dims=("a",), sizes={"a": 0}), pa.binary()),
        (ArraySpec(dims=("a", "b"), sizes={"b": 3}), pa.binary()),
    ],
)
def test_types_follow_from_specs(spec: ArraySpec, kind: pa.DataType) -> None:
    assert storage_type(spec) == kind
    schema = feature_schema("a.x", {"a.x": spec})
    assert specs_of(schema) == {"a.x": spec}


def test_a_file_whose_type_is_not_its_specs_is_refused() -> None:
    field = pa.field("x", pa.int64(), metadata={SPEC: ArraySpec().to_json().encode()})
    with pytest.raises(SchemaMismatch, match="column 'x' is int64"):
        specs_of(pa.schema([field]))


def test_files_have_the_schemas_that_are_published(filled: Made) -> None:
    for family in ("samples", "drops", "rejects"):
        for file in filled.store.files(family):
            assert pq.read_schema(Path(filled.url) / file.path).remove_metadata().equals(FILES[family])
    published = json.loads(json.dumps(table_schemas()))
    assert set(published) == {"samples", "drops", "rejects", "plans", "runs", "features/FAMILY"}
    assert published["drops"]["columns"][0] == {"name": "key", "type": "string", "nullable": False}
    assert published["samples"]["logged"][:3] == ["source", "shard", "fp"]


def test_importing_the_package_loads_no_heavy_one() -> None:
    code = (
        "import sys, mmdata.store; print([name for name in ('pyarrow', 'deltalake', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    code = "import sys, mmdata.store.write; print([name for name in ('duckdb', 'deltalake') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import mmdata.store

    with pytest.raises(AttributeError, match="no attribute 'Shop'"):
        mmdata.store.Shop  # noqa: B018
    assert mmdata.store.Store.__name__ == "Store"

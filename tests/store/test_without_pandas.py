"""Arrow that does not load pandas, and still knows it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import pyarrow as pa
from mmdata.store.without_pandas import leave_pandas_alone
leave_pandas_alone()
table = pa.table({"a": [1, 2], "b": ["x", None]})
print("pandas" in sys.modules, [each for each in sys.meta_path if "without_pandas" in type(each).__module__])
try:
    import pandas
except ModuleNotFoundError:
    print("absent")
else:
    print(table.to_pandas().shape, pa.Table.from_pandas(table.to_pandas()).to_pydict() == table.to_pydict())
    leave_pandas_alone()
    print(pa.array(pandas.Series([1.0, None])).to_pylist())
"""


def test_arrow_finds_no_pandas_until_it_is_asked_for_some() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=300)
    lines = done.stdout.splitlines()
    assert lines[0] == "False []"
    assert lines[1:] in (["absent"], ["(2, 2) True", "[1.0, None]"])

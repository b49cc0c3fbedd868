"""Arrow without pandas, for processes of our own.

Whatever pyarrow is given to make an array of, it first asks whether that is pandas', and imports pandas to find out:
0.35 s of processor time in the command and in every worker, where pandas happens to be installed. Asked once while
pandas can't be found, it remembers that there is none; `to_pandas` still finds it, as that looks again.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

import pyarrow as pa


class _NoPandas:
    """Finds no pandas, and leaves all else to others."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)
        return None


def leave_pandas_alone() -> None:
    """Let pyarrow find that there is no pandas, unless it is loaded already."""
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)

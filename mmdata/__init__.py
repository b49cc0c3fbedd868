"""mmdata: a data pipeline and feature store toolkit for multimodal models.

    store = mmdata.open("out/stamps")
    for batch in mmdata.stream(store, ["image.embedding", "label"], batch_size=256, seed=7): ...
    report = mmdata.run("pipelines/stamps.yaml", source="data/stamps", store="out/stamps", executor="pool")

Importing it loads nothing: what is used is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmdata.api import open, rows, run, stream  # noqa: A004  the name that users look for
    from mmdata.loader.parts import Part
    from mmdata.sink.export import export

__version__ = "0.1.0"
__all__ = ["Part", "__version__", "export", "open", "rows", "run", "stream"]
_PLACES = {
    "Part": "mmdata.loader.parts",
    "export": "mmdata.sink.export",
    **dict.fromkeys(("open", "rows", "run", "stream"), "mmdata.api"),
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'mmdata' has no attribute {name!r}")

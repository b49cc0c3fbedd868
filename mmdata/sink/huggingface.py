"""A dataset of Hugging Face: Parquet with the types of `datasets`, which `load_dataset(DEST)` reads and the hub shows.

    DEST/README.md                                  which files each split has
    DEST/data/SPLIT-00000-of-00002.parquet

As `parquet.py`, but media are cells {bytes, path} of the features Image, Audio and Video, arrays of fixed axes are
Array2D to Array5D (of one axis: lists of that length) and others nested lists. The features stand as JSON in the
schema's metadata, in the form of `datasets.Features.to_dict`; https://huggingface.co/docs/datasets/about_dataset_features
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mmdata.codec.sniff import modality_of_name
from mmdata.core.arrays import ArraySpec
from mmdata.sink.contents import Contents, PartForm
from mmdata.sink.form import Place, Written
from mmdata.sink.names import file_stem
from mmdata.sink.parquet import Parquet
from mmdata.sink.rows import Row

SPLIT = re.compile(r"\w+(\.\w+)*")  # what `datasets` takes for a split's name
ALL = "train"  # what `datasets` calls the split of data that has none
_NUMBERS = re.compile(r"-\d+-of-\d+(?=\.parquet$)")
_CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_MEDIA = {"image": "Image", "audio": "Audio", "video": "Video"}


@dataclass(frozen=True)
class HuggingFace(Parquet):
    """Tables for `datasets`."""

    def faults(self, contents: Contents) -> list[str]:
        """Why such contents can't be written so."""
        faults = [
            f"split: {name!r} can't be a split of `datasets`, which takes letters, digits, '_' and dots between them"
            for name in contents.splits
            if name and not SPLIT.fullmatch(name)
        ]
        if "" in contents.splits and len(contents.splits) > 1:
            faults.append("split: some samples have none, which `datasets` has no place for: name those to export")
        return faults

    def finish(self, written: Sequence[Written], place: Place) -> Sequence[Written]:
        """Write the dataset's card, by which `datasets` knows the splits."""
        lines = ["---", "configs:", "- config_name: default", "  data_files:"]
        patterns = {each.split: _NUMBERS.sub("-*", each.path) for each in written}
        for split, pattern in patterns.items():
            lines += [f"  - split: {split or ALL}", f"    path: {pattern}"]
        place.put("README.md", "\n".join([*lines, "---", ""]).encode())
        return written

    def metadata(self) -> dict[bytes, bytes]:
        """The features, where `datasets` looks for them."""
        return {b"huggingface": json.dumps({"info": {"features": self.features()}}).encode()}

    def features(self) -> dict[str, Any]:
        """Of each column what `datasets` is to take it for, as JSON."""
        names, contents = self.columns, self.contents
        found: dict[str, Any] = {
            name: _value("string") for name in ("key", "path", "source", "parent", "label", "meta")
        }
        if contents.selection is not None:
            found |= {"split": _value("string"), "weight": _value("float64")}
        for name, form in contents.parts.items():
            found[names.parts[name]] = _value("string") if form.is_text else _media(form)
            found |= {names.raw[name]: _value("binary")} if name in names.raw else {}
        found["parts"] = _value("string")
        for name, (_, spec) in contents.features.items():
            found[names.features[name]] = _array(spec)
            varying = spec.varying if len(spec.varying) > 1 else ()
            found |= {f"{names.features[name]}#{axis}": _value("int32") for axis in varying}
        return found | {"errors": _value("string")}

    def array_metadata(self, spec: ArraySpec) -> dict[bytes, bytes]:
        """How Arrow tells that a column is of a type of `datasets`, which need not be there to write it."""
        if not _is_array(spec):
            return {}
        name = f"datasets.features.features.Array{len(spec.dims)}DExtensionType"
        form = json.dumps([list(spec.shape), spec.dtype])
        return {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": form.encode()}

    def media_type(self, part: str) -> pa.DataType:  # noqa: ARG002
        """The type of a part's column."""
        return _CELL

    def media(self, row: Row, part: str, data: bytes) -> Any:
        """A part's cell; the path is a hint of what the bytes are."""
        extension = row.about["parts"][part]["extension"]
        return {"bytes": data, "path": f"{file_stem(row.key)}.{part}.{extension}".rpartition("/")[2]}

    def has_fixed_lists(self, spec: ArraySpec) -> bool:
        """Whether an array's axes of one size are lists of that size: `datasets` has its arrays as lists of any."""
        return len(spec.dims) == 1


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def _media(form: PartForm) -> dict[str, Any]:
    """The feature of a part: by what all samples' parts are, which a part that nobody decoded only tells by name."""
    kinds = {kind if kind in _MEDIA else _of_name(kind, form) for kind in form.kinds}
    if len(kinds) == 1 and (kind := kinds.pop()) in _MEDIA:
        return {"_type": _MEDIA[kind]}
    return {"bytes": _value("binary"), "path": _value("string")}


def _of_name(kind: str, form: PartForm) -> str:
    if kind == "frames":
        return "video"
    found = {modality_of_name(f"x.{extension}") for extension in form.extensions}
    return str(found.pop()) if kind == "blob" and len(found) == 1 else kind


def _is_array(spec: ArraySpec) -> bool:
    """Whether `datasets` has arrays of such a form."""
    return 2 <= len(spec.dims) <= 5 and all(spec.shape)


def _array(spec: ArraySpec) -> dict[str, Any]:
    """The feature of an array; what varies is nested lists, as `datasets` can't have missing rows of such arrays.

    `Sequence` is what versions before 4 and after read alike.
    """
    dtype = spec.dtype
    if _is_array(spec):
        return {"shape": list(spec.shape), "dtype": dtype, "_type": f"Array{len(spec.dims)}D"}
    made: dict[str, Any] = _value(dtype)
    for size in reversed(spec.shape):
        length = {"length": size} if size and len(spec.dims) == 1 else {}
        made = {"feature": made, **length, "_type": "Sequence"}
    return made

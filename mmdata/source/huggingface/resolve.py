"""Which files a dataset consists of: saved, on a disk, or on the hub. Never runs a dataset's own code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mmdata.errors import ConfigError
from mmdata.source.huggingface.features import Features
from mmdata.source.place import Place, place

HUB = "hf://datasets/"
HUB_NAME = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
REACHED_WITHIN_S = 10.0
TABLES = {"Parquet": "parquet", "Arrow": "arrow", "Json": "lines", "Csv": "lines"}
FOLDERS = ("ImageFolder", "AudioFolder", "VideoFolder")


@dataclass(frozen=True)
class DataFile:
    """A file of a dataset: its split, and its path below the dataset's root. form: "parquet", "arrow" or "lines"."""

    split: str
    path: str
    form: str
    signature: str


@dataclass(frozen=True)
class Resolved:
    """A dataset's files.

    Args:
        root: where they lie: a folder, or hf://datasets/OWNER/NAME@COMMIT. files: in order, split by split.
        folder: for one of loose media files instead, the builder that lists them.
        features: as far as they are known without a look into the files. others: configurations that there are.
    """

    root: str
    files: Sequence[DataFile] = ()
    folder: Any = None
    features: Features | None = None
    where: Place = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", place(self.root))

    @property
    def commit(self) -> str:
        """The signature of all files of the hub; "" for others."""
        return f"commit:{self.root.rpartition('@')[2]}" if self.root.startswith(HUB) else ""

    @property
    def splits(self) -> list[str]:
        found = [file.split for file in self.files] or [str(split) for split in self.folder.config.data_files]
        return list(dict.fromkeys(found))


def is_saved(path: str) -> bool:
    """Whether a folder holds what `save_to_disk` wrote."""
    return any(os.path.isfile(f"{path}/{name}") for name in ("dataset_dict.json", "state.json"))


def resolve(path: str, *, config: str | None, revision: str | None) -> Resolved:
    """Find a dataset's files.

    Raises:
        ConfigError: there is none, the hub can't be reached, or it has no form that can be read in place.
    """
    if path.startswith(HUB):
        path, _, named = path.removeprefix(HUB).partition("@")
        return _of_hub(path, config, revision or named or None)
    path = os.path.expanduser(path.removeprefix("file://"))
    if os.path.isfile(f"{path}/dataset_dict.json"):
        splits = _json(f"{path}/dataset_dict.json").get("splits", [])
        return Resolved(path, [file for split in splits for file in _saved(path, f"{split}/", str(split))])
    if os.path.isfile(f"{path}/state.json"):
        return Resolved(path, _saved(path, "", ""))
    if os.path.isdir(path):
        return _built(path, path, config, None)
    if os.path.exists(path):
        raise ConfigError(path, ["a file is no dataset; for one table, use source.table.Table"])
    return _of_hub(path, config, revision)


def _of_hub(name: str, config: str | None, revision: str | None) -> Resolved:
    if not HUB_NAME.fullmatch(name):
        raise ConfigError(name, ["there is no such folder, and it is no name of a dataset on the hub (OWNER/NAME)"])
    commit = commit_of(name, revision)
    return _built(name, root_of(name, commit), config, commit)


def root_of(name: str, commit: str) -> str:
    """Where a dataset's files lie on the hub at a commit; also of a name that is spelled as a URL."""
    return f"{HUB}{name.removeprefix(HUB).partition('@')[0]}@{commit}"


@lru_cache(maxsize=8)
def commit_of(name: str, revision: str | None) -> str:
    """The commit that a revision of a dataset stands for; asked once a process.

    Raises:
        ConfigError: there is no such dataset or revision, it is not open to everybody, or the hub can't be reached.
    """
    import huggingface_hub
    from huggingface_hub import errors as of

    try:
        info = huggingface_hub.HfApi().dataset_info(name, revision=revision, timeout=REACHED_WITHIN_S)
    except of.GatedRepoError:
        raise ConfigError(name, ["it is gated: accept its terms on the hub, and set HF_TOKEN"]) from None
    except of.RevisionNotFoundError:
        raise ConfigError(name, [f"it has no revision {revision!r}"]) from None
    except of.RepositoryNotFoundError:
        hint = "; for a private one, set HF_TOKEN"
        raise ConfigError(name, [f"there is no such folder, nor a dataset of that name on the hub{hint}"]) from None
    except Exception as error:  # every client library raises its own when there is no network
        says = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ConfigError(name, [f"there is no such folder, and the hub can't be reached ({says})"]) from error
    return str(info.sha)


def _saved(root: str, below: str, split: str) -> list[DataFile]:
    state = _json(f"{root}/{below}state.json")
    names = [str(each["filename"]) for each in state.get("_data_files", [])]
    if any("/" in name for name in names):
        raise ConfigError(root, [f"{below}state.json names files outside of its folder"])
    signature = f"fingerprint:{state.get('_fingerprint')}"
    split = split or str(state.get("_split") or "train")
    return [DataFile(split, below + name, "arrow", signature) for name in names]


def _json(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(path, [f"it can't be read: {error}"]) from None
    if not isinstance(found, dict):
        raise ConfigError(path, ["it is no saved dataset's: expected an object"])
    return found


def _built(path: str, root: str, config: str | None, commit: str | None) -> Resolved:
    """The files that `datasets` finds by its rules: names of splits, a README's configurations."""
    import datasets

    try:
        builder = datasets.load_dataset_builder(path, name=config, revision=commit)
    except Exception as error:  # it raises whatever its parts raise
        raise ConfigError(path, [f"datasets can't read it: {' '.join(str(error).split())[:600]}"]) from error
    named = [cls.__name__ for cls in type(builder).__mro__]
    features = builder.info.features.to_dict() if builder.info.features else None
    if any(name in FOLDERS for name in named):
        return Resolved(root, folder=builder, features=features)
    form = next((TABLES[name] for name in named if name in TABLES), None)
    if form is None:
        hint = "; source.webdataset.Tars reads its tars" if "WebDataset" in named else ""
        raise ConfigError(path, [f"its files are read as {named[1]}, of which no row can be read alone{hint}"])
    root_path, where, files, found = root.rstrip("/"), place(root), [], Resolved(root)
    for split, paths in builder.config.data_files.items():
        for each in paths:
            relative = _relative(str(each), root_path)
            if relative is None:
                raise ConfigError(path, [f"{each} lies outside of the dataset, or in an archive: unpack it"])
            signature = found.commit or where.stat(relative).signature
            files.append(DataFile(str(split), relative, form, signature))
    return Resolved(root, files, features=features)


def _relative(path: str, root: str) -> str | None:
    for start in (f"{root}/", f"{os.path.abspath(root)}/", f"{os.path.realpath(root)}/"):
        if path.startswith(start):
            return path[len(start) :]
    return None


def file_path(path: str, root: str) -> str | None:
    """A media file's path below a dataset's root; None when it lies elsewhere."""
    return _relative(path, root.rstrip("/"))

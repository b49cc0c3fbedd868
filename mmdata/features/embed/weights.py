"""Where a model's files lie, and the digest that stands for them in fingerprints. Nothing is ever fetched.

A model is named by one setting, in one of three ways:

    model: models/clip                       a folder (or a file, for ONNX) on this machine
    model: package:some_wheel/model          a folder inside of an installed package
    model: openai/clip-vit-base-patch32      a name of the Hugging Face hub, as it lies in the hub's local cache

Only the contents count: a model that is moved, or named in another way, keeps its fingerprint.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mmdata.core.fingerprint import fingerprint
from mmdata.errors import ConfigError, MissingExtra

PACKAGE = "package:"
INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
READ = (".json", ".txt", ".model", ".spm", ".tiktoken", ".jinja")  # beside the weights: configurations and vocabularies
HEADER_BYTES = 100_000_000  # of a safetensors file, by its own specification


def located(model: str, revision: str | None = None) -> Path:
    """The folder or file of a model.

    Args:
        model: a path, `package:NAME/path`, or a name of the hub. A path that exists is taken before the hub.
        revision: a branch, tag or commit of the hub; None is the one that was fetched last as "main".

    Raises:
        ConfigError: it is not there; says how to get it.
    """
    if model.startswith(PACKAGE):
        return _in_package(model)
    path = Path(model).expanduser()
    if path.exists():
        return path
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise unusable(model, "there is no such file or folder")
    return _in_hub_cache(model, revision)


def unusable(model: str, why: str) -> ConfigError:
    """The error of a model that can't be used, on which a pipeline's check puts the step's place."""
    return ConfigError("model", [f"model {model!r}: {why}"])


def _in_package(model: str) -> Path:
    name, _, inside = model.removeprefix(PACKAGE).partition("/")
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    folders = None if found is None else found.submodule_search_locations
    if not folders:
        raise unusable(model, f"there is no package {name!r} installed")
    root = Path(folders[0])
    path = root / inside
    if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
        raise unusable(model, f"the package {name!r} has no {inside!r}")
    return path


def _in_hub_cache(model: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra(
            "model",
            [f"model {model!r}: no such path, and the hub's cache needs huggingface_hub; pip install 'mmdata[models]'"],
        ) from error
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except HFValidationError as error:
        raise unusable(model, "there is no such file or folder, and it is no name of the hub either") from error
    except (LocalEntryNotFoundError, OSError) as error:
        at = f" --revision {revision}" if revision else ""
        raise unusable(
            model,
            f"there is no such folder, and the hub's local cache has no such model{f' at {revision!r}' if at else ''}. "
            f"mmdata fetches no models: run `hf download {model}{at}` on a machine that may, or copy its folder here",
        ) from error


def weight_files(model: str, folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, whole as far as their headers tell.

    Raises:
        ConfigError: there are none, only pickled ones, or one is damaged.
    """
    if not folder.is_dir():
        raise unusable(model, "is a file; expected the folder of a transformers model, with config.json in it")
    index = folder / INDEX
    files = [folder / name for name in (_indexed(model, index) if index.is_file() else [WEIGHTS])]
    for path in files:
        if not path.is_file():
            raise unusable(model, _why_no_weights(folder, path.name))
        if fault := _header_fault(path, path.stat().st_size):
            raise unusable(model, f"{path.name} is damaged: {fault}")
    return files


def _indexed(model: str, index: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unusable(model, f"{index.name} is damaged: {type(error).__name__}: {error}") from error
    if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
        raise unusable(model, f"{index.name} is damaged: it must name safetensors files beside it, not {names[:3]}")
    return names


def _why_no_weights(folder: Path, name: str) -> str:
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled:
        return (
            f"has its weights in {pickled[0]!r} only, and unpickling runs code; load them once where you trust them, "
            "and save them as safetensors: AutoModel.from_pretrained(...).save_pretrained(FOLDER)"
        )
    return f"has no weights: there is no {name!r} in {str(folder)!r}"


def _header_fault(path: Path, size: int) -> str | None:
    """What is wrong with a safetensors file as far as its header tells; cut-off files are found by their length."""
    with path.open("rb") as file:
        n_bytes = int.from_bytes(file.read(8), "little")
        if size < 8 or n_bytes > min(size - 8, HEADER_BYTES):
            return f"it is {size} bytes long, and its header says {n_bytes}"
        try:
            header = json.loads(file.read(n_bytes))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            least = 8 + n_bytes + max(ends, default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return f"its header can't be read: {type(error).__name__}"
    return None if least == size else f"it is {size} bytes long, and should be {least}"


def digest_of_folder(model: str, revision: str | None = None) -> str:
    """A digest of all that decides what a transformers model computes: weights, configurations, vocabularies.

    Raises:
        ConfigError: the model can't be had, or has no weights that are safe to read.
    """
    folder = located(model, revision)
    weights = weight_files(model, folder)
    beside = [path for path in folder.iterdir() if path.suffix in READ and path.is_file()]
    return digest_of([*weights, *beside])


def digest_of(files: Iterable[Path]) -> str:
    """A digest of files' names and contents, in the order of their names."""
    parts = [(path.name, _content(path)) for path in sorted(set(files), key=lambda path: path.name)]
    return fingerprint(*parts, chars=32)


def _content(path: Path) -> str:
    state = path.stat()
    return _content_at(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _content_at(path: Path, _size: int, _mtime_ns: int) -> str:
    """The digest of a file's bytes; read again only when size or time have changed."""
    import xxhash

    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            state.update(block)
    return state.hexdigest()

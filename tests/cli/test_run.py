"""The commands that make a store: their balance, their one JSON object, their exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmdata.store import Store
from mmdata.testing.build import ODD_NAME, damaged_corpus, picture, png_bytes

Mmdata = Callable[..., Any]
KEYS = {"read", "made", "stored", "dropped", "rejected", "seconds", "steps", "store"}


def run(mmdata: Mmdata, own: Any, *more: object) -> Any:
    return mmdata("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline", *more)


def test_run_says_what_became_of_every_sample(mmdata: Mmdata, own: Any) -> None:
    ended = run(mmdata, own)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[0].startswith("12 read = 10 stored + 1 dropped + 1 rejected   (")
    assert "  dropped: 1 clean.text.KeepLength:too_short" in lines
    assert "  rejected: 1 decode" in lines
    command = f"mmdata plan PIPELINE --store {own.store} --unmatched"
    assert f"  files that belong to no sample: 1 (1 without extension); {command} names them" in lines
    assert f"store: {own.store}" in lines
    assert f"see why: mmdata rejects {own.store}" in lines
    assert f"see which were dropped: mmdata rejects {own.store} --dropped" in lines


def test_run_in_json_is_one_object_with_all_that_is_promised(mmdata: Mmdata, own: Any) -> None:
    found = run(mmdata, own, "--json").json
    assert found.keys() >= KEYS
    assert (found["read"], found["made"], found["stored"]) == (12, 0, 10)
    assert (found["dropped"], found["rejected"]) == ({"clean.text.KeepLength:too_short": 1}, {"decode": 1})
    assert found["balances"] is True
    assert found["steps"]["clean.text.KeepLength"].keys() == {"n", "seconds"}
    assert found["store"] == str(own.store)
    assert sum(found["selection"]["splits"].values()) == 10


def test_a_selection_that_fails_is_told_after_what_the_run_did(mmdata: Mmdata, own: Any) -> None:
    whole = own.pipeline.read_text()
    own.pipeline.write_text(whole.replace("select: {name: v1,", "select: {name: v1, where: 'key is null',"))
    ended = run(mmdata, own)
    assert ended.code != 0
    assert ended.out.startswith("12 read = 10 stored + 1 dropped + 1 rejected   (")
    assert "the selection 'v1' would be empty" in ended.err
    told = run(mmdata, own, "--json")
    assert (told.code, told.json["kept"], "selection" in told.json) == (ended.code, 12, False)


def test_run_again_does_nothing(mmdata: Mmdata, own: Any) -> None:
    run(mmdata, own)
    again = run(mmdata, own, "--json").json
    assert (again["read"], again["kept"], again["shards"]) == (0, 12, 0)
    assert again["rejected_before"] == 1
    assert (
        f"of those up to date, 1 rejected before; see why: mmdata rejects {own.store}; "
        f"try them again: mmdata rejects {own.store} --replay"
    ) in run(mmdata, own).out.splitlines()


@pytest.mark.parametrize(("limit", "code"), [(1.0, 0), (0.1, 0), (0.05, 3), (0.0, 3), (-0.1, 2), (1.1, 2)])
def test_max_rejects_decides_the_exit_code(mmdata: Mmdata, own: Any, limit: float, code: int) -> None:
    ended = run(mmdata, own, "--max-rejects", limit)
    assert ended.code == code
    assert ("stopped: more than" in ended.out) == (code == 3)
    assert own.store.exists() == (code != 2)


def test_run_takes_a_sample_of_the_source(mmdata: Mmdata, own: Any) -> None:
    assert run(mmdata, own, "--limit", 3, "--json").json["read"] == 3
    assert run(mmdata, own, "--limit", 0).code == 2


TRAINED = """
train:
  inputs: {hog: image.hog, words: text.ngrams}
  epochs: 2
  val_split: null
  width: 8
  hidden: [8]
"""


@pytest.fixture
def training(own: Any) -> Any:
    text = own.pipeline.read_text()
    text = text.replace(
        "features:\n", "features:\n  - features.image.OrientedGradients\n  - features.text.HashedNgrams\n"
    )
    own.pipeline.write_text(text + TRAINED)
    return own


def test_run_trains_where_the_file_says_so_and_sums_up_the_ingest_first(mmdata: Mmdata, training: Any) -> None:
    ended = run(mmdata, training)
    assert ended.code == 0
    assert ended.out.index("12 read =") < ended.out.index("2 classes from")
    assert ended.out.count("12 read =") == 1
    assert run(mmdata, training, "--json").json["training"]["classes"] == ["disc", "square"]


def test_training_that_can_not_begin_leaves_the_ingest_told(mmdata: Mmdata, training: Any) -> None:
    training.pipeline.write_text(training.pipeline.read_text() + "  test_split: nope\n")
    ended = run(mmdata, training)
    assert ended.code == 2
    assert ended.out.startswith("12 read = 10 stored")
    assert "'nope'" in ended.err


def test_train_needs_no_source_and_goes_on_where_it_was(mmdata: Mmdata, training: Any, tmp_path: Path) -> None:
    text = training.pipeline.read_text()
    training.pipeline.write_text(text.partition("\ntrain:")[0])
    run(mmdata, training)
    training.pipeline.write_text(text)
    ended = mmdata("train", training.pipeline, "--store", training.store, "--out", tmp_path / "model")
    assert ended.code == 0
    assert "2 classes from" in ended.out
    assert "best epoch 2 of 2 (in log.csv, which counts from 0, it is 1)\n" in ended.out
    again = mmdata("train", training.pipeline, "--store", training.store, "--out", tmp_path / "model", "--json").json
    assert again["training"]["steps"] > 0
    assert (tmp_path / "model" / "checkpoint.pt").exists()
    compared = mmdata("train", training.pipeline, "--store", training.store, "--ablate", "--fusions", "gated")
    models = [line.split()[0] for line in compared.out.splitlines() if "±" in line]
    assert models[:2] == ["concat", "gated"]
    assert len(models) == 4
    refused = mmdata("train", training.pipeline, "--store", training.store, "--seeds", "2", "--out", tmp_path / "other")
    assert (refused.code, (tmp_path / "other").exists()) == (2, False)
    assert "a comparison keeps no model" in refused.err
    refused = mmdata("train", training.pipeline, "--store", training.store, "--fusions", ",")
    assert (refused.code, "no way of fusing is named" in refused.err) == (2, True)


UNNEEDED = ("av", "cv2", "duckdb", "ftfy", "soundfile", "soxr")  # others torchmetrics tries where they are installed


@pytest.fixture
def stored(mmdata: Mmdata, training: Any) -> Any:
    """The store of a file whose training did not begin yet."""
    text = training.pipeline.read_text()
    training.pipeline.write_text(text.partition("\ntrain:")[0])
    run(mmdata, training)
    training.pipeline.write_text(text)
    return training


def test_train_needs_nothing_that_made_the_store(stored: Any) -> None:
    begin = f"import sys; sys.modules.update(dict.fromkeys({UNNEEDED})); from mmdata.cli import main; main()"
    command = [sys.executable, "-c", begin, "train", stored.pipeline, "--store", stored.store]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, "2 classes from" in ended.stdout) == (0, True), ended.stderr


def test_train_asks_the_store_for_its_inputs_and_needs_no_other_section(mmdata: Mmdata, stored: Any) -> None:
    alone = TRAINED + "  selection: v1\n"
    stored.pipeline.write_text(alone)
    assert "best epoch 2 of 2\n" in mmdata("train", stored.pipeline, "--store", stored.store).out
    stored.pipeline.write_text(alone.replace("image.hog", "image.hogs"))
    ended = mmdata("train", stored.pipeline, "--store", stored.store)
    assert (ended.code, ended.out) == (2, "")
    assert "train.inputs.hog: no column 'image.hogs', did you mean 'image.hog'?" in ended.err
    stored.pipeline.write_text(TRAINED)
    ended = mmdata("train", stored.pipeline, "--store", stored.store)
    assert (ended.code, "train: there is no select section" in ended.err) == (2, True)


def test_train_says_of_a_damaged_feature_that_it_is_damaged(mmdata: Mmdata, stored: Any) -> None:
    for file in (stored.store / "features" / "image.hog").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-7])
    ended = mmdata("train", stored.pipeline, "--store", stored.store)
    assert (ended.code, ended.out) == (2, "")
    assert "train.inputs: of 'image.hog' none of its files can be read: " in ended.err
    assert "`mmdata verify STORE --drop-damaged`" in ended.err


def test_predict_says_of_files_what_the_model_says_of_their_features_in_the_store(
    mmdata: Mmdata, training: Any, tmp_path: Path
) -> None:
    from mmdata.train.checkpoint import load_model
    from mmdata.train.predict import predict

    run(mmdata, training)
    assert mmdata("train", training.pipeline, "--store", training.store, "--out", tmp_path / "model").code == 0
    files = sorted((training.source / "disc").glob("disc_*.png"))[:2]
    (training.source / "disc" / "bad.png").write_text("no picture")
    command = ["predict", tmp_path / "model", training.pipeline, *files, training.source / "disc" / "bad.png"]
    ended = mmdata(*command, tmp_path / "gone.png", "--source", training.source, "--json")
    *good, bad, gone = ended.json["samples"]
    net, store = load_model(tmp_path / "model" / "checkpoint.pt"), Store.open(training.store)
    columns = [item.column for item in net.plan.inputs]
    table = store.table(["key"])["key"].to_pylist()
    for sample in good:
        arrays = {name: store.arrays(name)[table.index(sample["key"])] for name in columns}
        there = {name: array for name, array in arrays.items() if array is not None}
        expected = predict(net, [there])[0]
        assert list(sample["probabilities"].values()) == pytest.approx(expected.tolist(), rel=1e-4)
        assert sample["class"] == net.plan.classes[expected.argmax()]
    assert (ended.code, len(good)) == (1, 2)
    assert (bad["class"], bad["note"][:8]) == (None, "rejected")
    assert gone["note"] == "failed: there is no such file"
    told = mmdata(*command, "--source", training.source)
    assert (told.code, told.out.count("\n")) == (1, 4)
    assert mmdata(*command[:-1], "--source", training.source).code == 0
    nowhere = mmdata("predict", tmp_path / "none", training.pipeline, files[0])
    assert (nowhere.code, "no checkpoint at " in nowhere.err) == (1, True)
    (training.source / "disc" / "notes.odd").write_text("no part of any sample")
    odd = mmdata(*command[:-1], training.source / "disc" / "notes.odd", "--source", training.source)
    assert (odd.code, odd.out.count("\n")) == (1, 4)
    assert "failed: the pipeline's source makes no sample of this file" in odd.out
    folder = mmdata("predict", tmp_path / "model", training.pipeline, training.source)
    assert (folder.code, folder.out) == (2, "")
    assert "is a folder" in folder.err
    other = tmp_path / "other.yaml"
    other.write_text("source: {use: source.files.Files, parts: {image: '{stem}.png'}}\nfeatures: []\n")
    refused = mmdata("predict", tmp_path / "model", other, files[0])
    assert (refused.code, "no feature makes what the model takes" in refused.err) == (2, True)


def test_train_without_a_train_section_is_refused(mmdata: Mmdata, made: Any) -> None:
    ended = mmdata("train", made.pipeline, "--store", made.store)
    assert (ended.code, ended.err) == (2, f"{made.pipeline}: 1 fault\n  - there is no train section\n")


def test_features_makes_only_what_is_lacking(mmdata: Mmdata, made: Any, copied: Path, tmp_path: Path) -> None:
    text = made.pipeline.read_text().replace("features:\n", "features:\n  - features.image.ImageSize\n")
    (tmp_path / "p.yaml").write_text(text)
    found = mmdata("features", tmp_path / "p.yaml", "--store", copied, "--executor", "inline", "--json").json
    assert found["computed"] == {"image.size": 10}
    assert (
        mmdata("features", tmp_path / "p.yaml", "--store", copied, "--executor", "inline", "--json").json["kept"] == 12
    )


def test_features_of_one_name_leaves_the_others(mmdata: Mmdata, made: Any, copied: Path, tmp_path: Path) -> None:
    new = "features:\n  - features.image.ImageSize\n  - features.image.TinyImage\n"
    (tmp_path / "p.yaml").write_text(made.pipeline.read_text().replace("features:\n", new))
    command = ["features", tmp_path / "p.yaml", "--store", copied, "--executor", "inline", "--json"]
    assert mmdata(*command, "--only", "image.tiny").json["computed"] == {"image.tiny": 10}
    unknown = mmdata(*command, "--only", "image.tinny", "--only", "zzz")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no feature 'image.tinny', did you mean 'image.tiny'?" in unknown.err
    assert "no feature 'zzz'; there are " in unknown.err


def test_features_refuses_other_ingest_steps(mmdata: Mmdata, made: Any, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(made.pipeline.read_text().replace("min_chars: 3", "min_chars: 4"))
    ended = mmdata("features", tmp_path / "p.yaml", "--store", copied, "--executor", "inline")
    assert ended.code == 2
    assert "made by other ingest steps" in ended.err


def test_a_pipeline_without_features_is_a_store_without_features(mmdata: Mmdata, own: Any) -> None:
    text = own.pipeline.read_text()
    own.pipeline.write_text(text.partition("features:")[0] + "run: {max_rejects: 1}\n")
    assert run(mmdata, own, "--json").json["stored"] == 10
    assert "feature" not in mmdata("show", own.store).out
    assert mmdata("ls", own.store, "--limit", 1).out.startswith("key\tlabel\tsource\n")
    assert mmdata("trace", own.store, "media/disc/disc_0000").code == 0
    assert mmdata("check", own.pipeline).code == 0


def test_rejects_replay_takes_up_what_was_repaired(mmdata: Mmdata, own: Any) -> None:
    run(mmdata, own)
    (own.source / "disc" / "broken.png").write_bytes(png_bytes(picture(30, 30)))
    replayed = mmdata("rejects", own.store, "--replay", "--executor", "inline", "--json")
    assert replayed.code == 0
    assert replayed.json["rejected"] == {}
    assert mmdata("rejects", own.store, "--json").json["rejects"] == []
    assert mmdata("trace", own.store, "media/disc/broken", "--json").json["outcome"] == "stored"


@pytest.mark.parametrize(
    ("option", "value"), [("--timeout", "0"), ("--memory-limit", "0"), ("--memory-limit", "much"), ("--device", "gpu")]
)
@pytest.mark.parametrize("command", ["rejects", "features"])
def test_what_a_replay_and_features_may_take_is_checked(
    mmdata: Mmdata, made: Any, command: str, option: str, value: str
) -> None:
    what = (
        [command, made.store, "--replay"] if command == "rejects" else [command, made.pipeline, "--store", made.store]
    )
    ended = mmdata(*what, "--executor", "inline", option, value)
    assert ended.code == 2
    assert option in ended.err


def test_rejects_replay_of_a_source_that_moved(mmdata: Mmdata, own: Any, tmp_path: Path) -> None:
    run(mmdata, own)
    (tmp_path / "new").mkdir()
    moved = own.source.rename(tmp_path / "new" / "media")
    ended = mmdata("rejects", own.store, "--replay", "--executor", "inline", "--source", moved, "--json")
    assert ended.json["rejected"] == {"decode": 1}


def test_ingest_chooses_a_pipeline_says_so_and_saves_it(mmdata: Mmdata, own: Any, tmp_path: Path) -> None:
    saved = tmp_path / "chosen.yaml"
    command = ["ingest", own.source, own.store, "--executor", "inline", "--json"]
    ended = mmdata(*command, "--save", saved)
    assert ended.code == 0
    assert ended.json["stored"] > 10
    assert saved.read_text() in ended.err
    assert mmdata("check", saved).code == 0
    again = mmdata("ingest", own.source, own.store, "--pipeline", saved, "--executor", "inline", "--json").json
    assert (again["read"], again["kept"]) == (0, ended.json["read"])
    for wrong, fault in (
        (["--save", saved], "exists already"),
        (["--pipeline", saved, "--save", "x"], "nothing to save"),
    ):
        refused = mmdata(*command, *wrong)
        assert (refused.code, refused.out) == (2, "")
        assert fault in refused.err


@pytest.mark.parametrize("where", ["nope", "empty"])
def test_ingest_of_nothing_makes_no_store(mmdata: Mmdata, tmp_path: Path, where: str) -> None:
    (tmp_path / "empty").mkdir()
    ended = mmdata("ingest", tmp_path / where, tmp_path / "store", "--executor", "inline")
    assert (ended.code, ended.out) == (2, "")
    assert not (tmp_path / "store").exists()


def test_hostile_names_never_reach_the_terminal_raw(mmdata: Mmdata, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    damaged_corpus(folder, n_good=2)
    for name in ("\x1b[31mred\x07", "two\nlines", "right\u202eleft", "tab\there"):
        (folder / f"{name}.png").write_bytes(b"no picture")
        (folder / f"{name}.unknown").write_bytes(b"no part")
    (folder / f"{ODD_NAME}.txt").write_text("escape \x1b[2J in a caption")
    ended = mmdata("ingest", folder, tmp_path / "store", "--executor", "inline", "--max-rejects", 1)
    assert ended.code == 0
    key = next(row["key"] for row in mmdata("ls", tmp_path / "store", "--json").json["samples"] if "name" in row["key"])
    outputs = [
        ended,
        mmdata("ls", tmp_path / "store", "--columns", "key,text.text"),
        mmdata("rejects", tmp_path / "store", "--traceback"),
        mmdata("trace", tmp_path / "store", key),
        mmdata("trace", tmp_path / "store", "no \x1b[31m such"),
        mmdata("show", tmp_path / "\x1b[31m"),
        mmdata("plan", tmp_path / "\x1b.yaml", "--store", "x"),
    ]
    for output in outputs:
        text = (output.out + output.err).replace("\n", "").replace("\t", "")
        assert text.isprintable(), [char for char in text if not char.isprintable()]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["run"],
        ["run", "p.yaml"],
        ["ls", "store", "--limit", "many"],
        ["ls", "store", "--limit", "-1"],
        ["run", "p.yaml", "--store", "s", "--executor", "cloud"],
        ["run", "p.yaml", "--store", "s", "--workers", "0"],
        ["run", "nope.yaml", "--store", "s"],
    ],
)
def test_wrong_usage_ends_with_2_and_a_word_on_standard_error(mmdata: Mmdata, arguments: list[str]) -> None:
    ended = mmdata(*arguments)
    assert ended.code == 2
    assert ended.err or not arguments
    assert "Traceback" not in ended.err


def test_what_the_system_refuses_is_told_in_a_line(mmdata: Mmdata, own: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = mmdata(
        "run", own.pipeline, "--source", own.source, "--store", tmp_path / "file" / "store", "--executor", "inline"
    )
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("StoreError: ")
    assert "Not a directory" in ended.err


def test_version(mmdata: Mmdata) -> None:
    from mmdata import __version__

    assert mmdata("--version").out == f"mmdata {__version__}\n"


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("demo.yaml", {"picture", "caption", "speech"}), ("demo_plain.yaml", {"shape", "colour", "caption", "speech"})],
)
def test_demo_on_generated_media_goes_the_whole_way(
    mmdata: Mmdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inputs: set[str]
) -> None:
    from mmdata.cli import demo
    from mmdata.core import packages

    monkeypatch.setattr(demo, "GENERATED_SAMPLES", 40)
    if name != "demo.yaml":
        monkeypatch.setitem(packages.EXTRAS, "pretrained", ("a_package_that_nobody_has",))
    text = Path(demo.__file__).with_name(name).read_text()
    brief = (
        text.replace("epochs: 40", "epochs: 1").replace("folds: 5", "folds: 3").replace("label in (", "label not in (")
    )
    (tmp_path / name).write_text(brief)
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "demo.py"))
    ended = mmdata("demo", "--generated", "--out", tmp_path / "out", "--workers", 1, "--json")
    assert ended.code == 0
    assert "THIS RUNS ON GENERATED MEDIA" in ended.err
    assert ("WITHOUT PRETRAINED MODELS, as it needs a_package_that_nobody_has" in ended.err) == (name != "demo.yaml")
    assert (ended.json["media"], ended.json["pipeline"]) == ("generated", name)
    assert {row["model"] for row in ended.json["training"]["scores"]} == {"fused", *inputs}


def test_the_demo_is_the_pipeline_file_that_is_shown() -> None:
    from mmdata.cli import demo

    shown = Path(__file__).parents[2] / "pipelines" / "demo.yaml"
    assert Path(demo.__file__).with_name("demo.yaml").read_text() == shown.read_text()


def test_settings_of_a_watch_are_refused_without_one(mmdata: Mmdata, own: Any) -> None:
    ended = mmdata("ingest", own.source, own.store, "--every", "5s", "--compact-every", 2)
    assert ended.code == 2
    assert "--every is for --watch" in ended.err
    assert "--compact-every is for --watch" in ended.err
    assert not own.store.exists()

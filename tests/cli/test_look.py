"""The commands that look at a store or at a pipeline file: what they say and return; they write nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

Mmdata = Callable[..., Any]
SPLITTER = """
from dataclasses import dataclass
from mmdata.core.step import Split

@dataclass(frozen=True, kw_only=True)
class Halves(Split):
    def split(self, sample):
        return [sample.child("first"), sample.child("second")]
"""


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, by size and time of change."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def test_show_counts_what_there_is(mmdata: Mmdata, made: Any) -> None:
    ended = mmdata("show", made.store)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[:3] == [
        "10 samples in 3 shards",
        "1 dropped, 1 rejected",
        "  source media: 10",
    ]
    assert lines[3] in ("  labels: disc 5, square 5", "  labels: square 5, disc 5")
    assert "image.phash\tuint8 byte 8\t3\t0" in lines
    assert "image.sharpness\tfloat32 scalar\t3\t0" in lines
    assert lines[-1] == "1 run"


def test_show_says_the_same_in_json(mmdata: Mmdata, made: Any) -> None:
    found = mmdata("show", made.store, "--json").json
    assert (found["samples"], found["dropped"], found["rejected"], found["runs"]) == (10, 1, 1, 1)
    assert found["features"]["image.phash"] == {"form": "uint8 byte 8", "shards": 3, "missing": 0}


def test_show_of_a_snapshot_is_the_store_as_it_was(mmdata: Mmdata, copied: Path) -> None:
    assert mmdata("snapshot", copied, "before").out == f"snapshot 'before' pins 10 samples of {copied}\n"
    assert mmdata("snapshot", copied).out == "before\n"
    assert mmdata("show", copied, "--snapshot", "before", "--json").json["samples"] == 10
    unknown = mmdata("show", copied, "--snapshot", "nope")
    assert (unknown.code, unknown.out) == (1, "")
    assert "no snapshot 'nope'" in unknown.err
    assert "before" in unknown.err


def test_a_snapshot_is_never_replaced_and_stays_in_its_folder(mmdata: Mmdata, copied: Path) -> None:
    assert mmdata("snapshot", copied, "s", "--json").json["snapshots"] == ["s"]
    assert mmdata("snapshot", copied, "s").code == 1
    assert mmdata("snapshot", copied, "../s").code == 1


def test_ls_lists_keys_labels_and_scalars(mmdata: Mmdata, made: Any) -> None:
    ended = mmdata("ls", made.store, "--limit", 2)
    head, *rows, end = ended.out.splitlines()
    assert head.split("\t") == ["key", "label", "source", "image.sharpness", "text.length.chars", "text.length.words"]
    assert all(row.startswith(("media/disc/disc_", "media/square/square_")) for row in rows)
    assert len(rows) == 2
    assert end == "2 of 10 samples; --limit 0 lists all"


@pytest.mark.parametrize(("limit", "rows"), [(0, 10), (1, 1), (9, 9), (10, 10), (11, 10)])
def test_ls_limits_rows_and_knows_the_total(mmdata: Mmdata, made: Any, limit: int, rows: int) -> None:
    found = mmdata("ls", made.store, "--limit", limit, "--json").json
    assert (len(found["samples"]), found["total"]) == (rows, 10)


def test_ls_takes_a_condition_and_columns(mmdata: Mmdata, made: Any) -> None:
    found = mmdata("ls", made.store, "--where", "label = 'disc'", "--columns", "key, text.length.words", "--json").json
    assert found["total"] == 5
    assert set(found["samples"][0]) == {"key", "text.length.words"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--columns", "nope"), "no column 'nope'"),
        (("--where", "nope >"), "where='nope >'"),
        (("--where", "1=1; drop table samples"), "where="),
        (("--where", "key in (select * from read_text('/etc/passwd'))"), "where="),
    ],
)
def test_ls_refuses_what_it_does_not_know(mmdata: Mmdata, made: Any, arguments: tuple[str, str], error: str) -> None:
    ended = mmdata("ls", made.store, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert error in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("key", "code", "outcome", "story"),
    [
        ("media/disc/disc_0000", 0, "stored", "selection 'v1': "),
        ("media/disc/short", 0, "dropped", "dropped by clean.text.KeepLength: too_short"),
        ("media/disc/broken", 0, "rejected", "rejected in codec.image.DecodeImage as decode: it is cut short"),
        ("disc_0000", 1, "unknown", "similar are media/disc/disc_0000"),
        ("", 1, "unknown", "knows no such key"),
    ],
)
def test_trace_tells_what_became_of_a_key(
    mmdata: Mmdata, made: Any, key: str, code: int, outcome: str, story: str
) -> None:
    ended = mmdata("trace", made.store, key)
    assert ended.code == code
    assert ended.out.startswith(f"{key}: {outcome}\n")
    assert story in ended.out
    found = mmdata("trace", made.store, key, "--json")
    assert (found.code, found.json["outcome"]) == (code, outcome)


def test_trace_names_source_files_parts_and_features(mmdata: Mmdata, made: Any) -> None:
    found = mmdata("trace", made.store, "media/disc/disc_0000", "--json").json
    assert [row["pointer"] for row in found["source"]] == [
        "disc/disc_0000.png",
        "disc/disc_0000_desc_fr.ogg",
        "disc/disc_0000.txt",
    ]
    assert found["parts"] == ["image", "speech", "text"]
    assert set(found["features"]) == {"image.phash", "image.sharpness", "text.length.chars", "text.length.words"}


def test_trace_of_a_split_sample_names_its_children(mmdata: Mmdata, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (own.pipeline.parent / "halving.py").write_text(SPLITTER)
    monkeypatch.syspath_prepend(str(own.pipeline.parent))
    text = own.pipeline.read_text().replace("ingest:\n", "plugins: [halving]\ningest:\n  - halving.Halves\n")
    own.pipeline.write_text(text)
    ended = mmdata("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline", "--json")
    assert (ended.code, ended.json["read"], ended.json["made"], ended.json["balances"]) == (0, 12, 12, True)
    found = mmdata("trace", own.store, "media/square/square_0001", "--json").json
    assert found["outcome"] == "split"
    assert len(found["children"]) == 2
    assert mmdata("trace", own.store, found["children"][0]).out.startswith(f"{found['children'][0]}: stored")


def test_rejects_lists_key_step_reason_and_file(mmdata: Mmdata, made: Any) -> None:
    head, row = mmdata("rejects", made.store).out.splitlines()
    assert head == "key\tkind\tstep\terror\tsource"
    assert row.split("\t")[:3] == ["media/disc/broken", "decode", "codec.image.DecodeImage"]
    assert row.endswith("disc/broken.png")
    assert "Traceback" in mmdata("rejects", made.store, "--traceback").out
    (found,) = mmdata("rejects", made.store, "--json").json["rejects"]
    assert found["kind"] == "decode"
    assert mmdata("rejects", made.store, "--missing", "--json").json["missing"] == []


def test_rejects_lists_what_steps_dropped_where_it_is_asked_for(mmdata: Mmdata, made: Any) -> None:
    head, row = mmdata("rejects", made.store, "--dropped").out.splitlines()
    assert head == "key\tstep\treason\tsource"
    assert row.split("\t")[:3] == ["media/disc/short", "clean.text.KeepLength", "too_short"]
    (found,) = mmdata("rejects", made.store, "--dropped", "--json").json["dropped"]
    assert (found["key"], found["reason"]) == ("media/disc/short", "too_short")
    both = mmdata("rejects", made.store, "--dropped", "--missing")
    assert (both.code, both.out) == (2, "")


def test_verify_of_a_sound_store(mmdata: Mmdata, made: Any) -> None:
    ended = mmdata("verify", made.store)
    assert ended.code == 0
    assert ended.out.endswith(" 0 faults\n")
    assert mmdata("verify", made.store, "--json").json["faults"] == []


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_verify_finds_damage(mmdata: Mmdata, copied: Path, damage: str) -> None:
    tar = next((copied / "media").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    if damage == "remove":
        tar.unlink()
    else:
        tar.write_bytes(bytes(data) if damage == "flip" else tar.read_bytes()[:-1])
    ended = mmdata("verify", copied)
    assert ended.code == 1
    assert tar.name in ended.out
    found = mmdata("verify", copied, "--json")
    assert found.code == 1
    assert [fault["path"] for fault in found.json["faults"]] == [f"media/{tar.name}"]


def test_a_damaged_family_costs_itself_and_is_named_by_all_who_look(mmdata: Mmdata, copied: Path) -> None:
    for path in (copied / "features" / "image.phash").glob("*.parquet"):
        os.truncate(path, 10)
    shown = mmdata("show", copied, "--json").json
    assert "image.phash" not in shown["features"]
    assert list(shown["damaged"]) == ["image.phash"]
    assert "damaged: image.phash: none of its files can be read" in mmdata("show", copied).out
    assert "image.sharpness" in mmdata("ls", copied).out
    traced = mmdata("trace", copied, mmdata("ls", copied, "--json").json["samples"][0]["key"])
    assert traced.code == 0
    assert "none of its files can be read" in traced.out
    assert "features/image.phash/" in mmdata("verify", copied).out
    doctor = mmdata("doctor", copied)
    assert doctor.code == 1
    assert "! feature image.phash: none of its files can be read" in doctor.out
    refused = mmdata("export", copied, copied.parent / "out", "--format", "parquet")
    assert refused.code != 0
    assert "image.phash" in refused.err


@pytest.mark.parametrize("how", ["gone", "cut", "head"])
def test_one_damaged_file_of_a_family_is_named_by_all_who_look(mmdata: Mmdata, copied: Path, how: str) -> None:
    path = min((copied / "features" / "image.phash").glob("*.parquet"))
    n_rows = pq.read_metadata(path).num_rows
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if how == "cut" else bytes(64) + path.read_bytes()[64:])
    fault = f"1 of 3 files can't be read: features/image.phash/{path.name}"
    mend = f"`mmdata verify {copied}` reads every byte; with --drop-damaged"
    doctor = mmdata("doctor", copied)
    assert doctor.code == 1
    assert f"! feature image.phash: {fault}" in doctor.out
    assert mend in doctor.out
    listed = mmdata("ls", copied)
    assert (listed.code, listed.err.count(fault), listed.err.count(mend)) == (0, 1, 1)
    shown = mmdata("show", copied)
    assert f"damaged: image.phash: {fault}" in shown.out
    assert mend in shown.out
    found = mmdata("show", copied, "--json").json
    assert found["features"]["image.phash"]["missing"] == n_rows
    assert list(found["damaged"]) == ["image.phash"]
    told = mmdata("report", copied, "-o", copied.parent / "page.html", "--json").json["faults"]
    assert any(one.startswith(f"features/image.phash: {fault}") and mend in one for one in told)


def test_a_sound_store_is_warned_of_by_nobody(mmdata: Mmdata, made: Any) -> None:
    assert mmdata("ls", made.store).err == ""
    assert "damaged" not in mmdata("show", made.store).out
    assert "0 faults" in mmdata("doctor", made.store).out


def test_run_and_plan_say_that_a_file_of_what_is_done_is_gone(mmdata: Mmdata, own: Any) -> None:
    again = ("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline")
    assert "damaged" not in mmdata(*again).err
    min((own.store / "features" / "image.phash").glob("*.parquet")).unlink()
    for command in (again, ("plan", *again[1:-2])):
        told = mmdata(*command)
        assert told.code == 0
        assert "damaged: image.phash: 1 of 3 files can't be read" in told.err
        assert f"mmdata verify {own.store}" in told.err
    mmdata("verify", own.store, "--drop-damaged")
    assert "damaged" not in mmdata(*again).err


def test_what_is_damaged_is_dropped_and_made_again_by_the_next_run(mmdata: Mmdata, own: Any) -> None:
    again = ("run", own.pipeline, "--source", own.source, "--store", own.store, "--executor", "inline")
    assert mmdata(*again).code == 0
    for path in (own.store / "features" / "image.phash").glob("*.parquet"):
        os.truncate(path, 10)
    told = mmdata("verify", own.store, "--drop-damaged", "--json")
    assert told.code == 1
    assert {Path(path).parent.name for path in told.json["dropped"]} == {"image.phash"}
    assert mmdata("verify", own.store, "--json").json["faults"] == []
    assert mmdata(*again).code == 0
    assert "image.phash" in mmdata("show", own.store, "--json").json["features"]
    assert mmdata("verify", own.store).code == 0


def test_gc_says_what_would_go_and_then_deletes_that(mmdata: Mmdata, copied: Path) -> None:
    stray = copied / "media" / "stray.tar"
    stray.write_bytes(b"left behind")
    os.utime(stray, (0, 0))
    assert mmdata("gc", copied, "--dry-run").out == "media/stray.tar\n1 file, 11 bytes would go\n"
    assert stray.exists()
    assert mmdata("gc", copied, "--json").json["paths"] == ["media/stray.tar"]
    assert not stray.exists()
    assert mmdata("verify", copied).code == 0


def test_gc_leaves_what_is_younger_than_its_grace(mmdata: Mmdata, copied: Path) -> None:
    stray = copied / "media" / "stray.tar"
    stray.write_bytes(b"being written")
    assert mmdata("gc", copied, "--grace", 1, "--json").json["paths"] == []
    assert mmdata("gc", copied, "--grace", -1).code == 2
    assert "media/stray.tar" in mmdata("gc", copied, "--grace", 0, "--json").json["paths"]


@pytest.mark.parametrize(
    "command",
    [("show",), ("ls",), ("rejects",), ("verify",), ("gc",), ("snapshot",), ("trace", "media/disc/disc_0000")],
)
def test_a_store_that_is_not_there_is_said_in_a_line(mmdata: Mmdata, tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *rest = command
    ended = mmdata(name, tmp_path / "nope", *rest)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("StoreError: no store at ")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "nope").exists()


@pytest.mark.parametrize("command", ["show", "ls", "rejects", "verify", "gc", "snapshot"])
def test_a_store_of_nothing_is_shown_as_that(mmdata: Mmdata, tmp_path: Path, command: str) -> None:
    from mmdata.store.store import Store

    Store.create(str(tmp_path / "empty"))
    assert mmdata(command, tmp_path / "empty").code == 0
    assert mmdata(command, tmp_path / "empty", "--json").json


def test_looking_writes_nothing(mmdata: Mmdata, made: Any) -> None:
    before = states(made.store)
    for command in (["show"], ["ls"], ["rejects"], ["verify"], ["gc", "--dry-run"], ["snapshot"]):
        mmdata(command[0], made.store, *command[1:])
    mmdata("plan", made.pipeline, "--source", made.source, "--store", made.store)
    mmdata("try", made.pipeline, made.source / "disc" / "disc_0000.png")
    assert states(made.store) == before


def test_check_shows_steps_implied_decoders_and_promises(mmdata: Mmdata, made: Any) -> None:
    lines = mmdata("check", made.pipeline).out.splitlines()
    assert lines[0] == f"{made.pipeline}: sound"
    assert "codec.image.DecodeImage\timage\timage\tput in by mmdata" in lines
    assert "image.phash\tuint8 byte 8" in lines
    found = mmdata("check", made.pipeline, "--json").json
    assert found["steps"][0] == {
        "step": "codec.image.DecodeImage",
        "on": "image",
        "into": "image",
        "implied": True,
    }
    assert found["features"]["text.length.chars"]["dims"] == []


CHECKED = """
source: {use: source.files.Files, root: data, parts: {image: "{stem}.png"}}
features: [features.image.PerceptualHash]
"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("select: {split: {folds: 3}}", "select: setting 'name' is missing"),
        ("select: {name: ../x}", "select.name: '../x' can't name a selection"),
        ("select: {name: v1, wher: x}", "select: no setting 'wher', did you mean 'where'?"),
        ("select: {name: v1, where: 3}", "select.where: expected a condition in SQL, not 3"),
        ("select: {name: v1, split: 3}", "select.split: expected shares by split, or folds, not 3"),
        ("select: {name: v1, split: {train: 0.7, folds: 3}}", "select.split.folds: deals to fold0"),
        ("select: {name: v1, split: {train: 0.7}}", "select.split.shares add up to 0.7, not to 1"),
        ("select: {name: v1, split: {1: a}}", "select.split.1: a share must be a number, not 'a'"),
        ("train: {epoch: 3, inputs: {a: image.phash}}", "train: no setting 'epoch', did you mean 'epochs'?"),
        ("train: {1: 3, inputs: {a: image.phash}}", "train: no setting '1'"),
        ("train: {epochs: 3}", "train: inputs"),
        (
            "select: {name: v1}\ntrain: {inputs: {a: image.phas}}",
            "train.inputs.a: no feature makes 'image.phas', did you mean 'image.phash'?",
        ),
        ("train: {inputs: {a: image.phash}}", "train: there is no select section"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run", "plan"])
def test_select_and_train_are_checked_before_anything_is_read(
    mmdata: Mmdata, tmp_path: Path, text: str, fault: str, command: str
) -> None:
    (tmp_path / "p.yaml").write_text(f"{CHECKED}{text}\n")
    rest = [] if command == "check" else ["--store", tmp_path / "store"]
    ended = mmdata(command, tmp_path / "p.yaml", *rest)
    assert (ended.code, ended.out) == (2, "")
    assert fault in ended.err
    assert "no such file or folder" not in ended.err
    assert not (tmp_path / "store").exists()


def test_faults_of_steps_and_of_training_come_together(mmdata: Mmdata, tmp_path: Path) -> None:
    text = CHECKED.replace("PerceptualHash", "PerceptualHash, features.text.TextLength")
    (tmp_path / "p.yaml").write_text(f"{text}select: {{}}\ntrain: {{lr: -1}}")
    err = mmdata("check", tmp_path / "p.yaml").err
    assert "features[1]: there is no part 'text' here" in err
    assert "train: lr" in err


def test_plan_says_what_run_will_do(mmdata: Mmdata, own: Any, made: Any) -> None:
    ended = mmdata("plan", own.pipeline, "--source", own.source, "--store", own.store)
    assert ended.code == 0
    assert ended.out.startswith("12 samples in 3 shards; 3 shards have work to do\n")
    assert "files that belong to no sample: 1, such as README" in ended.out
    assert "estimate, from 12 samples, tried just now:" in ended.out
    assert (
        "  with 3 workers: "
        in mmdata("plan", own.pipeline, "--source", own.source, "--store", own.store, "--workers", 3).out
    )
    assert not own.store.exists()
    done = mmdata("plan", made.pipeline, "--source", made.source, "--store", made.store, "--json").json
    assert done["store"] == str(made.store)
    assert done["estimate"] is None
    text = made.pipeline.read_text().replace(
        "features.image.Sharpness", "{use: features.image.Sharpness, working_px: 64}"
    )
    own.pipeline.write_text(text)
    changed = mmdata("plan", own.pipeline, "--source", made.source, "--store", made.store).out
    assert "image.sharpness\t3\t10\t0\tits setting, or a step before it, changed" in changed
    assert "image.phash\t0" in changed


def test_plan_can_take_the_source_as_it_is_recorded(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    source = shutil.copytree(made.source, tmp_path / made.source.name)
    command = ["plan", made.pipeline, "--source", source, "--store", made.store]
    before = mmdata(*command, "--recorded", "--json").json
    shutil.copy(source / "disc/disc_0000.png", source / "disc/disc_9999.png")
    assert mmdata(*command, "--json").json["new"] == 1
    assert mmdata(*command, "--recorded", "--json").json == before
    shutil.rmtree(source)
    assert mmdata(*command, "--recorded", "--json").json == before
    assert before["samples"] == 12
    assert mmdata("plan", made.pipeline, "--store", made.store, "--recorded", "--json").json == before
    ended = mmdata("plan", made.pipeline, "--source", source, "--store", tmp_path / "none", "--recorded")
    assert (ended.code, "no store at" in ended.err) == (1, True)


def test_try_shows_each_step_on_good_and_bad_files(mmdata: Mmdata, made: Any) -> None:
    disc = made.source / "disc"
    out = mmdata("try", made.pipeline, disc / "disc_0000.txt", disc / "broken.png", disc / "short.png").out
    assert "disc/disc_0000\n" in out
    assert "codec.image.DecodeImage\timage\t100 bytes\trejected as decode: it is cut short" in out
    assert "clean.text.KeepLength\ttext\t'x' (1 characters)\tdropped: too_short" in out
    assert "features.image.PerceptualHash\timage\timage 96 x 96, 3 channels\timage.phash: uint8 [8]" in out
    rows = mmdata("try", made.pipeline, disc / "disc_0000.png", "--json").json["steps"]
    assert [row["step"] for row in rows][-1] == "features.text.TextLength"


def test_try_says_changed_of_what_looks_alike_and_goes_by_the_source_that_is_named(
    mmdata: Mmdata, made: Any, tmp_path: Path
) -> None:
    pipeline = tmp_path / "mirror.yaml"
    pipeline.write_text(
        "source: {use: source.files.Files}\n"
        "ingest: [{use: augment.image.FlipImage, p: 1}, {use: augment.image.FlipImage, p: 0}]\n"
    )
    picture = made.source / "disc" / "disc_0000.png"
    rows = mmdata("try", pipeline, picture, "--json").json["steps"]
    assert [row["after"] for row in rows][1:3] == ["changed: image 96 x 96, 3 channels", "unchanged"]
    assert {row["key"] for row in rows} == {"disc/disc_0000"}
    rows = mmdata("try", pipeline, picture, "--source", made.source, "--json").json["steps"]
    assert {row["key"] for row in rows} == {f"{made.source.name}/disc/disc_0000"}


def test_try_of_a_sample_that_lacks_parts_skips_their_steps(mmdata: Mmdata, made: Any) -> None:
    rows = mmdata("try", made.pipeline, made.source / "disc" / "broken.png", "--json").json["steps"]
    assert [row["step"] for row in rows] == ["codec.image.DecodeImage"]


@pytest.mark.parametrize(("name", "fault"), [("README", "makes no sample of this file"), ("nope", "no such file")])
def test_try_refuses_a_foreign_file(mmdata: Mmdata, made: Any, name: str, fault: str) -> None:
    ended = mmdata("try", made.pipeline, made.source / name)
    assert (ended.code, ended.out) == (2, "")
    assert fault in ended.err


def test_schema_is_printed_written_and_compared(mmdata: Mmdata, tmp_path: Path) -> None:
    assert json.loads(mmdata("schema").out)["title"] == "mmdata pipeline"
    assert mmdata("schema", "--out", tmp_path / "s").code == 0
    assert mmdata("schema", "--out", tmp_path / "s", "--check").code == 0
    (tmp_path / "s" / "pipeline.schema.json").write_text("{}")
    stale = mmdata("schema", "--out", tmp_path / "s", "--check")
    assert (stale.code, "is not current" in stale.out) == (1, True)
    assert mmdata("schema", "--check").code == 2


def test_stream_says_what_would_come_and_how_fast_it_came(mmdata: Mmdata, made: Any) -> None:
    described = mmdata("stream", made.store, "--batch-size", 5, "--describe", "--json").json
    assert "samples_a_second" not in described
    assert described["samples"] == described["steps"] * 5 + described["samples"] % 5
    read = mmdata("stream", made.store, "--batch-size", 5, "--json").json
    assert read["samples_a_second"] > 0
    assert {name: read[name] for name in described} == described
    assert "neighbours lie" in mmdata("stream", made.store, "--batch-size", 5).out


def test_stream_of_fewer_samples_than_a_batch_comes_as_its_message_says(mmdata: Mmdata, made: Any) -> None:
    refused = mmdata("stream", made.store)
    assert (refused.code, "'short'" in refused.err) == (2, True)
    whole = mmdata("stream", made.store, "--tail", "short", "--json").json
    assert (whole["steps"], whole["samples"] > 0) == (1, True)
    assert mmdata("stream", made.store, "--tail", "odd").code == 2


def test_stream_mixes_stores_and_makes_batches_by_length(mmdata: Mmdata, made: Any) -> None:
    asked = ("stream", made.store, "key", "--batch-size", 4, "--describe")
    mixed = mmdata(*asked, "--weight", 3, "--mix", f"{made.store}=1", "--json").json
    assert list(mixed["part_shares"].values()) == pytest.approx([0.75, 0.25], abs=0.1)
    assert "parts: 7" in mmdata(*asked, "--weight", 3, "--mix", f"{made.store}=1").out
    refused = mmdata(*asked, "--mix", made.store)
    assert refused.code == 2
    assert "STORE=WEIGHT" in refused.err
    assert "length: needs budget, too" in mmdata(*asked, "--length", "image.sharpness").err
    by_length = mmdata(*asked, "--length", "image.sharpness", "--budget", 1e9, "--json").json
    assert (by_length["batch_size"], 0 <= by_length["padding"] < 1) == (None, True)

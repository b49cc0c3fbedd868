"""`mmdata check`: whether a pipeline file can work, before anything is read."""

from __future__ import annotations

import json

from mmdata.cli.options import Json, PipelineArg, SourceOption


def check(pipeline: PipelineArg, source: SourceOption = None, as_json: Json = False) -> None:
    """Check a pipeline file as a whole: names, settings, types, encodings, installed packages. Reads no data."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.config.load import load
    from mmdata.report.words import form

    file = load(pipeline, source=source, otherwise="SOURCE")
    compiled = api.check(file)
    steps = [[p.label, p.reads, p.writes, "put in by mmdata" if p.implied else ""] for p in compiled.steps]
    features = {column: spec for family in compiled.families for column, spec in family.step.columns().items()}
    if as_json:
        names = [{"step": row[0], "on": row[1], "into": row[2], "implied": bool(row[3])} for row in steps]
        promises = {column: json.loads(spec.to_json()) for column, spec in features.items()}
        print_json({"pipeline": file.where, "steps": names, "features": promises})
        return
    say(f"{file.where}: sound")
    print_table(steps, ["step", "reads", "writes", ""])
    if features:
        print_table([[column, form(spec)] for column, spec in features.items()], ["feature", "form"])

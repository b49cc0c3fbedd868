"""`mmdata check`: whether a pipeline file can work, before anything is read."""

from __future__ import annotations

from mmdata.cli.options import Json, PipelineArg, SourceOption


def check(pipeline: PipelineArg, source: SourceOption = None, as_json: Json = False) -> None:
    """Check a pipeline file as a whole: names, settings, types, encodings, installed packages. Reads no data."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.config.load import load

    file = load(pipeline, source=source)
    compiled = api.check(file)
    steps = [[p.label, p.reads, p.writes, "put in by mmdata" if p.implied else ""] for p in compiled.steps]
    features = [
        [family.name, str(column), spec.to_json()]
        for family in compiled.families
        for column, spec in family.step.columns().items()
    ]
    if as_json:
        names = [{"step": row[0], "on": row[1], "into": row[2], "implied": bool(row[3])} for row in steps]
        print_json({"pipeline": file.where, "steps": names, "features": {row[1]: row[2] for row in features}})
        return
    say(f"{file.where}: sound")
    print_table(steps, ["step", "reads", "writes", ""])
    if features:
        print_table([row[1:] for row in features], ["feature", "form"])

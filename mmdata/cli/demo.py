"""`mmdata demo`: the whole path on real media, from files to a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmdata.cli.options import Json, Workers

CORPUS = "tuxpaint-stamps-default"
GENERATED_SAMPLES = 600


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the demo's store goes.")] = Path(
        "mmdata-demo"
    ),
    generated: Annotated[bool, typer.Option("--generated", help="Use generated media, and fetch nothing.")] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Ingest pictures with captions and spoken captions, make features, train a fusion model, say what it is worth."""
    from mmdata import api
    from mmdata.cli.progress import progress
    from mmdata.cli.screen import print_json, summary
    from mmdata.cli.train import train_from
    from mmdata.config.load import load

    pipeline, store = _pipeline(), str(out / "store")
    api.check(load(pipeline, source=str(out)))  # what is not installed is said before anything is fetched
    source = _media(out, generated=generated)
    file = load(pipeline, source=str(source))
    print(f"ingesting {source}", file=sys.stderr)
    with progress(quiet=as_json) as watch:
        report = api.run(file, store=store, source=str(source), executor="pool", workers=workers, watch=watch)
    if not as_json:
        summary(report)
        print("\ntraining: 5 folds, captions kept together; fused, then each modality alone")
    report.training = train_from(file, store, quiet=as_json)
    if as_json:
        media = "generated" if source.is_relative_to(out) else CORPUS
        print_json({**report.to_json(), "media": media, "pipeline": pipeline.name})
        return
    key = api.open(store).keys()[0]
    print(f"\nlook at it:\n  mmdata show {store}\n  mmdata ls {store} --limit 5\n  mmdata trace {store} {key}")
    print(f"  mmdata report {store} -o report.html")


def _pipeline() -> Path:
    """The demo's pipeline; one without models where they are not installed, and that is said first."""
    from mmdata.core.packages import missing_packages

    if (lacking := missing_packages("pretrained")) is None:
        return Path(__file__).with_name("demo.yaml")
    print(f"THIS RUNS WITHOUT PRETRAINED MODELS, as it {lacking}", file=sys.stderr)
    return Path(__file__).with_name("demo_plain.yaml")


def _media(out: Path, *, generated: bool) -> Path:
    """The stamps; media made on the spot where they can't be had, and that is said first."""
    from mmdata.errors import CorpusUnavailable
    from mmdata.testing.corpora import media

    why = "as was asked for"
    if not generated:
        try:
            return media(CORPUS)
        except CorpusUnavailable as error:
            why = f"as the Tux Paint stamps can't be fetched: {error}"
    print(f"THIS RUNS ON GENERATED MEDIA, {why}", file=sys.stderr)
    folder = out / "media"
    if not folder.exists():
        from mmdata.testing.build import corpus

        making = out / "media.making"
        corpus(making, n=GENERATED_SAMPLES, seed=0)
        making.rename(folder)
    return folder

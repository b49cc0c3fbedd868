"""docs/results.md, from the figures that benchmarks/results.py found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import mean, stdev
from typing import Any

HEAD = """\
# What fusing is worth

Six multimodal systems, each by its pipeline file ([systems.md](systems.md) says what they are), and what each input
alone, each choice of inputs and each way of fusing comes to: mean and standard deviation over five seeds, on the test
split. Each file's settings, such as epochs, were chosen once for its system, by earlier trainings whose test scores
were seen; none was chosen for a way of fusing or an input. `make results` makes this page: it builds or fetches the
data, runs the pipelines, trains, and writes. Nothing is taken from elsewhere.

Where data are generated, the best possible score is known. What a sample shows and its label are drawn from a table of
probabilities, and nobody who sees some of the inputs does better than to answer with the likeliest label for what they
show. **Theory** is how often that is right, a sum over the table. **This split** is how often it is right on the very
samples of the test split. The margin is what all inputs together are above the best single one; its error is for 95 of
100, from the size of the test split and the spread of the seeds.

Beside noise, the best input tells what it told before, and all others are drawn independent of everything: theory says
that fusing gains nothing, and a fusion that seems to gain has learned chance.
"""
TITLES = {
    "sentiment": "Sentiment: comment, voice and picture",
    "news": "News: title and picture, clicked or not",
    "video_classes": "Films: frames and sound",
    "picture_search": "Search: pictures by text",
    "spoken_words": "Things: picture and spoken word",
    "patients": "Patients: scan, record and ECG, some missing",
}
ABOUT = {
    "sentiment": """\
Generated. Praise is meant unless the voice is flat, which is sarcasm (three of ten); one label of 20 is wrong. Three
faces of four fit the label. So words and voice tell together what neither tells alone: logits that are added can't say
that, and the two late fusions end with the face, as they must.""",
    "news": """\
Generated; the score is the area under the ROC curve. A title of one of four topics with a picture of one of four: what
fits together is clicked more often, and some topics are. Neither shows whether they fit, and late fusions can't say it.
What is left to theory is training: the file takes a tenth of the inputs away (`modality_dropout`, unless said
otherwise), which costs where only both together tell. With none of it, width 64, dropout 0.3 and 20 epochs, `concat`
came to 0.866 from one seed.""",
    "video_classes": """\
Generated. A disc goes to the left or the right, a tone rises or falls; the four classes are the pairs, and each input
shows its half of the label wrongly in 5 of 100 films. Each tells half, and late fusions can add that up.""",
    "picture_search": """\
Real: the Tux Paint stamps (GPL-2), drawings and photographs with an English caption, equal captions on one side. Both
go through small pretrained models and two encoders that are trained to bring what belongs together side by side. The
pool is the whole test split, both ways; chance is k of the pool's size.""",
    "spoken_words": """\
Real: the same stamps, 10 classes, and the caption as somebody says it in French. No caption of the test split is among
those that were learned from, so a name that is heard was never heard before, and tells a class only by what names of
that class have in common.""",
    "patients": """\
Generated. High risk is two findings of three: a spot in the scan, a high blood pressure in the record, a fast heart in
the ECG; three labels of 100 are wrong. A scan lacks in 20 of 100 patients, a record in 10, an ECG in 30. Theory reckons
with that: who lacks an input does without.""",
}
SCORES = {"accuracy": "accuracy", "roc_auc": "ROC AUC", "recall@10": "recall@10"}


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    lines = [HEAD]
    for name, title in TITLES.items():
        lines += [f"## {title}", "", ABOUT[name], ""]
        if name not in found:
            lines += [f"Not measured yet: `python benchmarks/results.py {name}`.", ""]
            continue
        lines += [*_section(found[name]), ""]
        if beside := found.get(f"{name}_noise"):
            best = max(beside["inputs"], key=lambda one: float(beside["theory"][one]))
            lines += [f"Beside noise, where `{best}` alone tells:", "", *_table(beside), "", _margin(beside), ""]
    return "\n".join(lines)


def _section(one: Mapping[str, Any]) -> Iterator[str]:
    splits = ", ".join(f"{n} {name}" for name, n in sorted(one["splits"].items(), key=lambda item: -item[1]))
    yield f"{splits}; {_where(one)}."
    yield ""
    if one["score"].startswith("recall"):
        yield from _found(one)
        return
    yield from _table(one)
    yield ""
    if "theory" in one:
        yield _margin(one)


def _where(one: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    return (
        f"measured on {one['machine']} at load {one['load']}, which changes no score, {one['day']}, "
        f"Python {one['python']}, {versions}"
    )


def _table(one: Mapping[str, Any]) -> Iterator[str]:
    inputs, whole = one["inputs"], "+".join(one["inputs"])
    known = "theory" in one
    yield f"| model | {'theory | this split | ' if known else ''}{SCORES[one['score']]} |"
    yield f"|---|{'---:|---:|' if known else ''}---:|"
    for model, seeds in one["scores"].items():
        some = set(model.split("+")) <= set(inputs)  # a choice of inputs, and else a way of fusing all of them
        of = model if some else whole
        theory = f"{one['theory'][of]:.3f} | {one['here'][of]:.3f} | " if known else ""
        yield f"| {model.replace('+', ' + ') if some else f'all, `{model}`'} | {theory}{_spread(seeds)} |"


def _margin(one: Mapping[str, Any]) -> str:
    margin = one["margin"]
    return (
        f"Margin of `concat` over the best single input: {margin['seen']:.3f} ± {margin['error']:.3f}; theory "
        f"{margin['theory']:.3f}, on this split {margin['here']:.3f}."
    )


def _found(one: Mapping[str, Any]) -> Iterator[str]:
    """Recalls both ways."""
    n = one["splits"]["test"]
    yield "| | text to picture | picture to text | chance |"
    yield "|---|---:|---:|---:|"
    for k in (1, 5, 10):
        forth, back = (_spread(one["own"][f"{way}_recall@{k}"]) for way in ("forth", "back"))
        yield f"| recall@{k} | {forth} | {back} | {k / n:.3f} |"
    ranks = [_spread(one["own"][f"{way}_median_rank"]) for way in ("forth", "back")]
    yield f"| median rank of {n} | {ranks[0]} | {ranks[1]} | {n / 2:.0f} |"


def _spread(seeds: list[float]) -> str:
    digits = 1 if mean(seeds) > 2 else 3
    return f"{mean(seeds):.{digits}f} ± {stdev(seeds):.{digits}f}"

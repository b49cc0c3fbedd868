"""Every step on texts meets what no text should be: a result, a drop or a reject, no crash, and no endless time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.config.names import steps
from mmdata.core.rng import rng_for
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Drop, Extract, Filter, Map, RandomMap, Split, Step, address
from mmdata.errors import DataError
from mmdata.features.text import fit_vocabulary
from mmdata.features.tokens import fit_tokenizer
from mmdata.testing.build import caption
from mmdata.testing.peaks import forget_peak, peak_bytes

PLACES = ("clean.text.", "augment.text.", "features.text.", "features.tokens.")
CLASSES = sorted({address(cls): cls for cls in steps() if address(cls).startswith(PLACES)}.items())
ARPA = "\\data\\\nngram 1=4\n\n\\1-grams:\n-2 <unk>\n-99 <s>\n-1 </s>\n-1 a\n\n\\end\\\n"
# what a step must be told
SETTINGS: dict[str, dict[str, Any]] = {
    "clean.text.DropListedWords": {"words": ("zebra", "a zebra"), "max_count": 3},
    "clean.text.KeepLanguage": {"min_confidence": 0.1},
    "clean.text.KeepPerplexity": {"file": "a.arpa", "max_perplexity": 1e9},
    "clean.text.RemoveCharacters": {"kinds": ("punctuation", "marks"), "longest_run": 3},
    "clean.text.RemoveWords": {"words": ("zebra", "a zebra"), "stop_words": "en"},
    "clean.text.ReplacePattern": {"pattern": r"\d+"},
    "augment.text.BackTranslate": {"there": ""},  # as its model is; see tests/augment/text/test_translation.py
    "augment.text.ChangeCase": {"p": 1},
    "augment.text.ReplaceByVectors": {"file": "glove.txt", "share": 1},
    "augment.text.ReplaceWords": {"table": (("small", "little"),), "share": 1},
    "features.text.BagOfWords": {"file": "words.json"},
    "features.text.Perplexity": {"file": "a.arpa", "tokenizer": "a.model"},
    "features.text.TfIdf": {"file": "words.json"},
    "features.text.WordVectors": {"file": "glove.txt", "form": "sequence"},
    "features.tokens.TokenCount": {"model": "a.model"},
    "features.tokens.TokenIds": {"model": "a.model"},
}
FILES = ("file", "tokenizer", "model")
BAD = {
    "empty": "",
    "blanks": " \t\u00a0\u3000\n\r\x0b\u2028" * 9,
    "NULs": "\0" * 999 + "a\0b \0.\0",
    "lone surrogates": "\ud800 a\udfff. \udbff\udbff <\ud83d>" * 99,
    "right to left": "\u202bשלום עולם. مرحبا بالعالم، \u200fکتاب\u200cها\u202c " * 99,
    "combining": ("e" + "\u0301" * 999 + " ") * 9 + "\u0301",
    "scripts without blanks": "这是一个没有空格的句子。" * 99,
    "marks": "...!!!???((((]]]]<<<<&&&&;;;;@@@@://::##--__''''\"\"\"\"" * 99,
    "emoji": "👩\u200d👩\u200d👧🏽 🇺🇳" * 99,
    "numbers": "4111111111111111 +49 30 901820 10.0.0.1 1e999 -0 ٣ ½ ⅷ" * 99,
    "the last code point": "\U0010ffff\ufffe\uffff" * 99,
    "markup": "<p><a href='x'>&amp;&#x0;</b><!-- <script>`**[](\n# > - |" * 99,
}
UNITS = {"words": "a small zebra, ", "letters": "x", "marks": "(.", "digits": "1 ", "markup": "<b>", "breaks": "a\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    texts = [caption(seed).text for seed in range(200)]
    fit_vocabulary(texts, made / "words.json")
    fit_tokenizer(texts, made / "a.model", vocabulary=350)
    (made / "glove.txt").write_text("a 1 2\nsmall 2 1\nzebra 3 3\nx 1 1\n")
    (made / "a.arpa").write_text(ARPA)
    return made


def made(name: str, cls: type[Step], folder: Path) -> Step:
    settings = SETTINGS.get(name, {})
    return cls(**{key: str(folder / value) if key in FILES else value for key, value in settings.items()})


def results(step: Step, text: str) -> Iterator[Any]:
    """What a step makes of a text, in the forms that it may have."""
    value, sample = Text(text), Sample("k", {"text": Text(text)})
    match step:
        case Filter():
            yield step.keep(value)
        case Split():
            found = step.split(sample)
            yield from [found] if isinstance(found, Drop) else [piece.parts["text"] for piece in found]
        case Map():
            found = step.map(sample if step.takes is Sample else value)
            yield found.parts["text"] if isinstance(found, Sample) else found
        case RandomMap():
            yield step.map(value, rng_for(3, step.name))
        case Extract():
            yield from step.named(step.extract(value)).items()
        case _:
            raise TypeError(step.name)


def check(step: Step, text: str) -> None:
    try:
        found = list(results(step, text))
    except DataError:  # a reject
        return
    assert found
    for result in found:
        match result:
            case True | Drop():
                continue
            case Text():
                assert isinstance(result.text, str)
            case (str(column), np.ndarray() as array):
                assert isinstance(step, Extract)
                assert step.columns()[column].fault(array) is None
                assert np.isfinite(array).all()
            case _:
                pytest.fail(f"{step.name} gave {result!r}"[:200])


CHOSEN = [(name, cls) for name, cls in CLASSES if name != "augment.text.BackTranslate"]
SECONDS = {  # that they take for 10 MB: ten seconds and more where the machine is busy
    "augment.text.AddMisreadings",
    "augment.text.AddTypos",
    "augment.text.ReplaceByVectors",
    "augment.text.ReplaceWords",
    "augment.text.SwapWords",
    "clean.text.SplitText",
    "features.text.HashedNgrams",
    "features.text.Perplexity",
    "features.text.Readability",
    "features.text.TextMeasures",
    "features.tokens.TokenCount",
    "features.tokens.TokenIds",
}


def test_every_step_on_texts_is_here() -> None:
    assert len(CLASSES) > 40
    assert SETTINGS.keys() <= {name for name, _ in CLASSES}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "cls"), CHOSEN, ids=[name for name, _ in CHOSEN])
def test_bad_texts_give_a_result_a_drop_or_a_reject(name: str, cls: type[Step], folder: Path) -> None:
    step = made(name, cls, folder)
    for text in BAD.values():
        check(step, text)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "cls"), CHOSEN, ids=[name for name, _ in CHOSEN])
def test_no_step_takes_the_square_of_a_lines_length(name: str, cls: type[Step], folder: Path) -> None:
    """100,000 characters of one line are a blink for what is linear, and many minutes for what is not."""
    step = made(name, cls, folder)
    for unit in UNITS.values():
        check(step, unit * (100_000 // len(unit)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "cls"),
    [pytest.param(*case, id=case[0], marks=[pytest.mark.long] * (case[0] in SECONDS)) for case in CHOSEN],
)
def test_ten_megabytes_of_one_line_come_to_an_end_in_bounded_memory(name: str, cls: type[Step], folder: Path) -> None:
    step, unit = made(name, cls, folder), UNITS["words"]
    before = forget_peak()
    check(step, unit * (10_000_000 // len(unit)))
    assert peak_bytes() - before < 2_000_000_000

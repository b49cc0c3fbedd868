"""Records what datatrove's filters say of real texts, for comparison with `clean.text`: tests/clean/text/verdicts.json.

    benchmarks/peers.sh datatrove
    python benchmarks/text_verdicts.py out/peers/datatrove/bin/python tests/clean/text/verdicts.json

Each filter judges each text as it came. The file has, by filter, a letter a text in the order of their keys; "reasons"
says what the letters mean, a blank is a text that is kept. "left" is a digest of all texts that C4's rules left, and
"texts" one of the texts themselves, so that another version of the corpora is not taken for a disagreement.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def judged(texts: list[str]) -> dict[str, Any]:
    """What the filters say, in datatrove's own environment."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = {
        "KeepC4Lines": C4QualityFilter(),
        "KeepGopherQuality": GopherQualityFilter(),
        "KeepGopherRepetition": GopherRepetitionFilter(),
        "KeepFineWebQuality": FineWebQualityFilter(),
    }
    reasons: dict[str, str] = {}
    verdicts: dict[str, str] = {}
    left = []
    for name, rule in filters.items():
        for text in texts:
            document = Document(text=text, id="")
            said = rule.filter(document)
            reason = said[1] if isinstance(said, tuple) else ""
            letter = reasons.setdefault(reason, LETTERS[len(reasons)]) if reason else " "
            verdicts[name] = verdicts.get(name, "") + letter
            if name == "KeepC4Lines" and said is True:
                left.append(document.text)
    return {"left": left, "reasons": reasons, "verdicts": verdicts}


def main(python: str, out: Path) -> None:
    """Hand the texts to datatrove's environment, which has no mmdata."""
    from mmdata.testing.writings import digest, sampled_writings

    texts = list(sampled_writings().values())
    command = [python, __file__, "--judge"]
    done = subprocess.run(command, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout)
    said |= {"texts": digest(texts), "left": digest(said["left"])}
    out.write_text(json.dumps(said, indent=0, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--judge"]:
        json.dump(judged(json.load(sys.stdin)), sys.stdout)
    else:
        main(sys.argv[1], Path(sys.argv[2]))

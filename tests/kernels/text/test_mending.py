from __future__ import annotations

import ftfy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdata.errors import CorpusUnavailable
from mmdata.kernels.text import mending
from mmdata.kernels.text.mending import mend
from mmdata.testing.writings import sampled_writings

SETTINGS = ftfy.TextFixerConfig(
    unescape_html=True, uncurl_quotes=False, fix_character_width=False, fix_latin_ligatures=False, normalization=None
)
# text read in an encoding that it was not written in
MISREAD = st.builds(
    lambda text, read: text.encode("utf-8", "replace").decode(read, "replace"),
    st.text(alphabet="aé ßøñçœ€’“”–中я\n", max_size=12),
    st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1253", "mac-roman", "cp437"]),
)
NEAR = st.text(
    alphabet="a A\n.&;#ampgt39ÃÂâ€™œŒ°º×ØÙвЂГўВà²ß’\x80\x85\x9f\r\u2028\ufeff\ud83d\ude00\x1b[0m\x00\x0c", max_size=30
)


@given(st.one_of(NEAR, MISREAD, st.text(max_size=30), st.lists(st.one_of(NEAR, MISREAD)).map("\n".join)))
@example("fine\nschÃ¶n\nfine")
@example("Ã \nÂ ")
@example("œ\n\n")
@example("caf\u00c3\u00a9&amp;\n")
@example("\ud83d\n\ude00")
def test_mending_the_suspect_lines_gives_what_ftfy_gives(text: str) -> None:
    assert mend(text) == ftfy.fix_text(text, SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words & signs; 100 %\n" * 3,
        "Él comió piñas, « déjà vu » l’été.\n",
        "Москва, 北京, ελληνικά, עברית\n",
        "tab\tand\fform feed",
    ],
)
def test_sound_lines_never_reach_ftfy(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    suspect, _, settings = mending._tools()
    seen: list[str] = []

    def fix(line: str, settings: object) -> str:
        seen.append(line)
        return line

    monkeypatch.setattr(mending, "_tools", lambda: (suspect, fix, settings))
    assert mend(text) is text or mend(text) == text
    assert seen == []
    mend(text + "\nbad\x00line\n" + text)
    assert seen == ["bad\x00line\n"]


def test_ten_megabytes_of_one_line_are_passed_over() -> None:
    assert len(mend("sound wörds " * 900_000)) == 10_800_000


@pytest.mark.corpus
def test_real_texts_are_mended_as_by_ftfy() -> None:
    try:
        texts = list(sampled_writings().values())[::5]
    except CorpusUnavailable as error:
        pytest.skip(str(error))
    assert len(texts) > 500
    misread = [text.encode("utf-8", "replace").decode("latin-1") for text in texts[::20] if not text.isascii()]
    for text in (*texts, *misread):
        assert mend(text) == ftfy.fix_text(text, SETTINGS)

"""Names and the classes that they lead to."""

from __future__ import annotations

import pytest

from mmdata.config.names import UnknownName, known_names, resolve, sources, steps
from mmdata.core.step import Step, address, is_abstract


def test_every_known_name_leads_to_the_class_that_bears_it() -> None:
    found = {name: address(resolve(name)) for name in known_names()}
    assert found == {name: name for name in found}
    assert {"codec.image.DecodeImage", "clean.audio.TrimSilence", "source.files.Files"} <= found.keys()


def test_steps_are_concrete_and_sources_can_list_and_read() -> None:
    assert all(issubclass(step, Step) and not is_abstract(step) for step in steps())
    assert {"Files", "HuggingFace", "Table", "Tars", "Urls"} == {source.__name__ for source in sources()}


@pytest.mark.parametrize("name", ["", ".", "clean", "clean.", ".clean.audio", "clean..audio", "clean.audio.__doc__"])
def test_odd_names_are_unknown_and_nothing_worse(name: str) -> None:
    with pytest.raises(UnknownName):
        resolve(name)

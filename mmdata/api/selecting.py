"""The `select` section of a pipeline file: checked without a store, and made over one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmdata.api.reading import open  # noqa: A004  as users call it

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.select.balance import Balance
    from mmdata.select.dedup.rule import Against, Rule
    from mmdata.select.selection import Selected

SETTINGS = ("name", "where", "dedup", "against", "split", "balance")


def select_faults(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with a `select` section, as far as it alone tells."""
    if not settings:
        return []
    from mmdata.core.pipeline import guess

    faults = [f"select: no setting {name!r}{guess(str(name), SETTINGS)}" for name in settings if name not in SETTINGS]
    faults += _name_faults(settings.get("name"))
    faults += _where_faults(settings.get("where"))
    rules, told = _rules(settings.get("dedup"))
    faults += told
    against, told = _against(settings.get("against"))
    faults += told
    if against and not settings.get("dedup"):
        faults.append("select.against: there is no dedup rule that says what counts as alike")
    faults += _keep_faults(rules)
    faults += _parsed(settings.get("split"), "split", "shares by split, or folds")[1]
    balance, told = _parsed(settings.get("balance"), "balance", "by, with a cap or a weight")
    return [*faults, *told, *_balance_faults(balance)]


def make_selection(
    file: PipelineFile,
    store: str | os.PathLike[str],
    *,
    name: str | None = None,
    pin: bool = False,
    storage_options: Mapping[str, str] | None = None,
) -> Selected:
    """Make the selection that a pipeline file describes.

    Args:
        file: the pipeline file.
        store: over whose rows.
        name: what to call it, in place of the file's own.
        pin: keep it by a snapshot.
        storage_options: as `open` takes them.

    Raises:
        ConfigError: the `select` section is wrong, is not there, or leaves no sample.
    """
    from mmdata.errors import ConfigError
    from mmdata.select.selection import select

    settings = {**file.select, **({"name": name} if name else {})}
    if not settings:
        raise ConfigError(file.where, ["there is no select section"])
    if faults := select_faults(settings):
        raise ConfigError(file.where, faults)
    return select(
        open(store, storage_options=storage_options),
        settings["name"],
        split=settings.get("split"),
        where=settings.get("where"),
        dedup=_rules(settings.get("dedup"))[0],
        against=_against(settings.get("against"))[0],
        balance=settings.get("balance"),
        pin=pin,
    )


def _name_faults(name: Any) -> list[str]:
    from mmdata.errors import StoreError
    from mmdata.store.layout import checked_selection

    if not isinstance(name, str):
        return ["select: setting 'name' is missing: what is the selection to be called?"]
    try:
        checked_selection(name)
    except StoreError as error:
        return [f"select.name: {error}"]
    return []


def _where_faults(where: Any) -> list[str]:
    from mmdata.core.packages import missing_packages
    from mmdata.errors import ConfigError
    from mmdata.select.conditions import condition_faults, conditions

    try:
        found = conditions(where)
    except ConfigError as error:
        return [f"select.{fault}" for fault in error.faults]
    if found and (lacking := missing_packages("select")):
        return [f"select.where: {lacking}"]
    return [f"select.{fault}" for fault in condition_faults(where)]


def _expression_faults(setting: str, text: str | None) -> list[str]:
    from mmdata.core.packages import missing_packages
    from mmdata.store import expressions

    if text is None:
        return []
    if lacking := missing_packages("select"):
        return [f"{setting}: {lacking}"]
    return [f"{setting}: {fault}" for fault in expressions.faults(text)]


def _keep_faults(rules: list[Rule]) -> list[str]:
    return [
        fault for at, rule in enumerate(rules) for fault in _expression_faults(f"select.dedup[{at}].keep", rule.keep)
    ]


def _balance_faults(balance: Balance | None) -> list[str]:
    if balance is None:
        return []
    faults = _expression_faults("select.balance.by", balance.by)
    return faults + _expression_faults("select.balance.weight", balance.expression)


def _parsed(value: Any, setting: str, expected: str) -> tuple[Any, list[str]]:
    """A split or a balance, and its faults."""
    from mmdata.errors import ConfigError
    from mmdata.select.balance import Balance
    from mmdata.select.split import Split

    if value is None:
        return None, []
    if not isinstance(value, Mapping):
        return None, [f"select.{setting}: expected {expected}, not {value!r}"]
    kind: Any = Split if setting == "split" else Balance
    try:
        return kind.parse({str(name): given for name, given in value.items()}), []
    except ConfigError as error:
        return None, [f"select.{setting}.{fault}" for fault in error.faults]


def _rules(value: Any) -> tuple[list[Rule], list[str]]:
    """The dedup rules, and their faults."""
    from mmdata.config.load import build
    from mmdata.core.pipeline import guess
    from mmdata.select import dedup

    if value is None:
        return [], []
    if not isinstance(value, list):
        return [], [f"select.dedup: expected a list of rules, not {value!r}"]
    known = {f"select.dedup.{name}": cls for name, cls in dedup.RULES.items()}
    rules: list[Rule] = []
    faults = []
    for at, item in enumerate(value):
        given = {"use": item} if isinstance(item, str) else item
        use = given.get("use") if isinstance(given, Mapping) else None
        if use not in known:
            faults.append(f"select.dedup[{at}]: no rule {use!r}{guess(str(use), known)}")
            continue
        rule, told = build(known[use], {str(name): setting for name, setting in given.items() if name != "use"})
        faults += [f"select.dedup[{at}]{fault}" for fault in told]
        rules += [] if rule is None else [rule]
    return rules, faults


def _against(value: Any) -> tuple[list[Against], list[str]]:
    """The selections that nothing may be like, and faults."""
    from mmdata.config.load import build
    from mmdata.select.dedup.rule import Against

    if value is None:
        return [], []
    made: list[Against] = []
    faults = []
    for at, item in enumerate(value if isinstance(value, list) else [value]):
        given = {"selection": item} if isinstance(item, str) else item
        if not isinstance(given, Mapping):
            faults.append(
                f"select.against[{at}]: expected a selection's name, or selection, split and store, not {item!r}"
            )
            continue
        built, told = build(Against, {str(name): setting for name, setting in given.items()})
        faults += [f"select.against[{at}]{fault}" for fault in told]
        made += [] if built is None else [built]
    return made, faults

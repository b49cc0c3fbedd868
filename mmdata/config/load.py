"""A pipeline file to frozen dataclasses, reporting every fault at once, each with a guess."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from mmdata.config.names import UnknownName, is_source, missing_extra, missing_plugin, resolve
from mmdata.config.yaml12 import read_yaml
from mmdata.core.pipeline import Pipeline, RunSettings, guess
from mmdata.core.ports import Source
from mmdata.core.step import Feature, Step, address
from mmdata.errors import ConfigError

Built = TypeVar("Built")
SECTIONS = ("plugins", "seed", "source", "ingest", "store", "features", "select", "train", "run")
MAX_BYTES = 1_000_000  # no pipeline is longer; a data file given by mistake often is
MOST_CHARS = 100  # of a value, in a message


@dataclass(frozen=True, kw_only=True)
class PipelineFile:
    """A whole pipeline file: what the store is made of, and what is made of the store.

    Args:
        pipeline: source, ingest, store, features, seed. run: how it is divided.
        select: settings of the selection; train: settings of the training. Both are checked by who uses them.
        text: the file as it was read, for the store's records.
    """

    pipeline: Pipeline
    run: RunSettings = field(default_factory=RunSettings)
    select: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    where: str = "pipeline"
    text: str = ""

    def limited(
        self,
        max_rejects: float | None,
        device: str | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
    ) -> RunSettings:
        """The run's settings, with what a command gives in place of them; ConfigError where that can't be."""
        settings = self.run
        if timeout_s is not None:
            if not timeout_s > 0:
                raise ConfigError("--timeout", [f"expected more than 0 seconds, not {timeout_s}"])
            settings = dataclasses.replace(settings, timeout_s=timeout_s)
        if memory_bytes is not None:
            if memory_bytes < 1:
                raise ConfigError("--memory-limit", [f"expected more than 0 bytes, not {memory_bytes}"])
            settings = dataclasses.replace(settings, memory_bytes=memory_bytes)
        if max_rejects is not None:
            if not 0 <= max_rejects <= 1:
                raise ConfigError("--max-rejects", [f"expected a share from 0 to 1, not {max_rejects}"])
            settings = dataclasses.replace(settings, max_rejects=max_rejects)
        if device is not None:
            try:
                settings = dataclasses.replace(settings, device=device)
            except ValueError as error:
                raise ConfigError("--device", [str(error)]) from None
        return settings


def load(
    path: str | Path,
    *,
    source: str | None = None,
    otherwise: str | None = None,
    only: Collection[str] = SECTIONS,
) -> PipelineFile:
    """Read a pipeline file.

    Args:
        path: a YAML file.
        source: a location that replaces the file's own.
        otherwise: a location for a file that has none.
        only: the sections that are read; of the others nothing is looked at but their names.

    Raises:
        ConfigError: with all the faults of the file.
    """
    where = str(path)
    try:
        raw = Path(path).read_bytes()
        text = raw[: MAX_BYTES + 1].decode("utf-8")
    except OSError as error:
        raise ConfigError(where, [f"can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(where, ["is not UTF-8 text; a pipeline file is YAML"]) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(where, [f"is {len(raw):,} bytes long; a pipeline file is YAML of a few lines"])
    return parse(text, where=where, source=source, otherwise=otherwise, only=only)


def parse(
    text: str,
    *,
    where: str = "pipeline",
    source: str | None = None,
    otherwise: str | None = None,
    only: Collection[str] = SECTIONS,
) -> PipelineFile:
    """The same for a pipeline's text."""
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(where, [f"is not YAML{line}: {getattr(error, 'problem', None) or error}"]) from error
    if not isinstance(value, Mapping):
        raise ConfigError(where, [f"holds {_kind(value)}, expected sections: {', '.join(SECTIONS)}"])
    return _Reader(where, source, otherwise).read(value, text, only)


@dataclass
class _Reader:
    where: str
    location: str | None
    otherwise: str | None
    faults: list[str] = field(default_factory=list)
    plugins: tuple[str, ...] = ()
    lost: frozenset[str] = frozenset()  # of the plugins, those that are not there

    def read(self, value: Mapping[str, Any], text: str, only: Collection[str]) -> PipelineFile:
        for name in value:
            if name not in SECTIONS:
                self.faults.append(f"no section {name!r}{guess(str(name), SECTIONS)}")
        value = {name: section for name, section in value.items() if name in only}
        self.plugins = self._plugins(value)
        train = self._mapping(value, "train")
        self._import_fusion(train.get("fusion"))
        pipeline = Pipeline(
            source=self._source(value.get("source")),
            ingest=tuple(self._steps(value, "ingest", Step)),
            store=self._encodings(value.get("store")),
            features=tuple(self._steps(value, "features", Feature)),
            seed=self._seed(value.get("seed", 0)),
        )
        run = self._build("run", RunSettings, self._mapping(value, "run"))
        self.faults += [each for each in _endless(value) if each.partition(":")[0] not in self._told]
        file = PipelineFile(
            pipeline=pipeline,
            run=run or RunSettings(),
            select=self._mapping(value, "select"),
            train=train,
            where=self.where,
            text=text,
        )
        if self.faults:
            raise ConfigError(self.where, self.faults)
        return file

    @property
    def _told(self) -> set[str]:
        """The places of which there is a fault."""
        return {fault.partition(":")[0] for fault in self.faults}

    def _plugins(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        names = tuple(str(name) for name in self._list(value, "plugins"))
        lost = {name: fault for name in names if (fault := missing_plugin(name))}
        self.faults += [f"plugins[{index}]: {lost[name]}" for index, name in enumerate(names) if name in lost]
        self.lost = frozenset(name.partition(".")[0] for name in lost)
        return names

    def _import_fusion(self, name: Any) -> None:
        """Import the module of a fusion that a plugin brings: training itself imports none."""
        module = name.rpartition(".")[0] if isinstance(name, str) else ""
        if module and module.partition(".")[0] in {*self.plugins} - self.lost:
            try:
                importlib.import_module(module)
            except Exception as error:  # noqa: BLE001  code of a user's: whatever it raises, other faults count
                self.faults.append(f"train.fusion: {module} can't be imported: {type(error).__name__}: {error}")

    def _seed(self, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.faults.append(f"seed: expected a whole number, not {_short(value)}")
        return 0

    def _mapping(self, value: Mapping[str, Any], section: str) -> Mapping[str, Any]:
        given = value.get(section)
        if given is None:
            return {}
        if isinstance(given, Mapping):
            return given
        self.faults.append(f"{section}: expected settings by name, not {_kind(given)}")
        return {}

    def _list(self, value: Mapping[str, Any], section: str) -> list[Any]:
        given = value.get(section)
        if given is None:
            return []
        if isinstance(given, list):
            return given
        self.faults.append(f"{section}: expected a list, not {_kind(given)}")
        return []

    def _encodings(self, value: Any) -> Mapping[str, str] | None:
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.faults.append(f"store: expected encodings by part, not {_kind(value)}")
            return None
        for part, encoding in value.items():
            if not isinstance(encoding, str):
                self.faults.append(f"store.{part}: expected an encoding's name, not {_kind(encoding)}")
        return {str(part): str(encoding) for part, encoding in value.items()}

    def _source(self, value: Any) -> Source | None:
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.faults.append(f"source: expected 'use' and settings, not {_kind(value)}")
            return None
        cls = self._class("source", value)
        if cls is None:
            return None
        if not is_source(cls):
            self.faults.append(f"source: {value['use']} is no source")
            return None
        settings = {str(name): item for name, item in value.items() if name != "use"}
        where = dataclasses.fields(cls)[0].name  # a source's first field is its location
        if self.location is not None:
            settings[where] = self.location
        if settings.setdefault(where, self.otherwise) is None:
            self.faults.append(f"source: no location; give {where}: here, or --source")
            return None
        return self._build("source", cls, settings)

    def _steps(self, value: Mapping[str, Any], section: str, kind: type[Step]) -> list[Any]:
        built = []
        for index, item in enumerate(self._list(value, section)):
            place = f"{section}[{index}]"
            item = {"use": item} if isinstance(item, str) else item
            if not isinstance(item, Mapping):
                self.faults.append(f"{place}: expected 'use' and settings, not {_kind(item)}")
                continue
            cls = self._class(place, item)
            if cls is None:
                continue
            step = self._step(place, cls, item)
            if step is not None and not isinstance(step, kind):
                self.faults.append(f"{place}: {item['use']} makes no feature: it belongs under ingest")
            elif step is not None:
                built.append(step)
        return built

    def _step(self, place: str, cls: type[Any], item: Mapping[str, Any]) -> Step | None:
        if not issubclass(cls, Step):
            self.faults.append(f"{place}: {item['use']} is no step")
            return None
        if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
            self.faults.append(f"{place}: {item['use']} is not whole: it has no method {' and no '.join(lacking)}")
            return None
        if fault := missing_extra(cls):
            self.faults.append(f"{place}: {item['use']} {fault}")
            return None
        return self._build(place, cls, {name: given for name, given in item.items() if name != "use"})

    def _class(self, place: str, item: Mapping[str, Any]) -> type[Any] | None:
        name = item.get("use")
        if not isinstance(name, str):
            self.faults.append(f"{place}: has no 'use', the step's name")
            return None
        if name.partition(".")[0] in self.lost:  # told under plugins, once
            return None
        try:
            return resolve(name, self.plugins)
        except UnknownName as error:
            self.faults.append(f"{place}: {error}")
        except ImportError as error:
            self.faults.append(f"{place}: {name} can't be imported: {error}")
        except Exception as error:  # noqa: BLE001  code of a user's: whatever it raises, the file's other faults count
            self.faults.append(f"{place}: {name} can't be imported: {type(error).__name__}: {error}")
        return None

    def _build(self, place: str, cls: type[Built], settings: Mapping[str, Any]) -> Built | None:
        built, faults = build(cls, settings)
        self.faults += [f"{place}{fault}" for fault in faults]
        return built


def _endless(value: Any, place: str = "") -> Iterator[str]:
    """A fault for each number of a file that is infinite or none: there is no setting that takes one."""
    if isinstance(value, float) and not isfinite(value):
        yield f"{place}: expected a finite number, not {value}"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _endless(item, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _endless(item, f"{place}[{index}]")


def build(cls: type[Built], settings: Mapping[str, Any]) -> tuple[Built | None, list[str]]:
    """A checked dataclass of its settings, or its faults, each beginning with `: ` or `.setting: `."""
    fields = dataclasses.fields(cast(Any, cls))
    known = {field.name for field in fields if field.init and "secret" not in field.metadata}
    owner = address(cls) if issubclass(cls, Step) else cls.__name__
    faults = [
        f": {owner} has no setting {str(name)!r}{guess(str(name), known)}" for name in settings if name not in known
    ]
    try:
        built = TypeAdapter(cls).validate_python({name: value for name, value in settings.items() if name in known})
    except ValidationError as error:
        return None, faults + [_fault(detail) for detail in error.errors()]
    except (PydanticUserError, TypeError, NameError, AttributeError) as error:  # of a user's annotations, or its checks
        return None, [*faults, f": {owner} can't be made: {type(error).__name__}: {error}".partition("\n")[0]]
    return (None if faults else built), faults


def _fault(detail: Any) -> str:
    path = ".".join(str(step) for step in detail["loc"])
    if detail["type"] == "missing":
        return f": setting {path!r} is missing"
    given = "" if detail["type"] == "value_error" else f", not {_short(detail['input'])}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ").strip()
    at = f".{path}" if path else ""  # a fault of several settings together has no path
    return f"{at}: expected {message}{given}" if given else f"{at}: {message}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}..."


def _kind(value: Any) -> str:
    names = {dict: "settings", list: "a list", str: "text", type(None): "nothing", bool: "a truth value"}
    return names.get(type(value), f"a {type(value).__name__}")

"""Files that settings name: what is wrong with one is a fault of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmdata.errors import ConfigError


@contextmanager
def file_of(setting: str, path: str) -> Iterator[None]:
    """What can't be read, or is not what it should be, is raised again as a ConfigError that names setting and file."""
    try:
        yield
    except OSError as error:
        raise ConfigError(setting, [f"{setting} {path!r} can't be read: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError(setting, [f"{setting} {path!r}: {error}"]) from error

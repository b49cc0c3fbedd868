"""Every error that mmdata raises on purpose.

MMDataError
├── ConfigError            the pipeline, its settings or its arguments are wrong; nothing was read or written
│   └── MissingExtra       a step needs packages that are not installed; names the extra to install
├── DataError              one sample is bad; it is rejected and the run goes on
│   ├── DecodeError        its bytes are not sound media
│   ├── Unreadable         its bytes can't be had: gone, forbidden, changed while it was read
│   └── DoesNotFit         it takes more memory than the device has, alone
├── StepError              a step is wrong: its sample is rejected and marked `bug`
├── CorpusUnavailable      real media for tests and demo can't be fetched; generated media do instead
├── Unreachable            a server does not answer, which is no sample's fault; also a ConnectionError
├── RunStopped             the run ended early: too many rejects, a step that always fails, lost workers
│   └── TooManyRejects     more samples were rejected than `--max-rejects` allows
└── StoreError             the store can't do what was asked
    ├── Incomplete         a family lacks shards or rows that were asked for
    ├── SchemaMismatch     a file, a table or a state is of another form or version
    └── CommitConflict     another writer was first, and trying again did not help
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class MMDataError(Exception):
    """The root of the tree: catch it to catch whatever mmdata raises on purpose.

    Attributes:
        report: what was done before it, where that is whole: a run's report, of a run whose selection then failed.
    """

    report: object = None


class ConfigError(MMDataError):
    """Settings that can't work, all of their faults at once.

    Args:
        where: what was being read: a pipeline file's path, or a command's name.
        faults: one line a fault: where it is, what was given, what was expected.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) != 1 else "")
        super().__init__("\n".join([f"{where}: {count}", *(f"  - {fault}" for fault in self.faults)]))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.where, self.faults)


class MissingExtra(ConfigError):
    """A step needs packages that are not installed; raised for one sample, that sample is rejected."""

    kind = "missing_extra"


class DataError(MMDataError):
    """One sample is bad; the run goes on without it."""

    kind = "data"


class DecodeError(DataError):
    """The bytes are not sound media of the kind that was asked for, or pass a limit."""

    kind = "decode"


class Unreadable(DataError):
    """The bytes can't be had: the file is gone, forbidden, or changed since it was listed."""

    kind = "unreadable"


class DoesNotFit(DataError):
    """The sample alone takes more memory than the device that a model runs on has."""

    kind = "does_not_fit"


class StepError(MMDataError):
    """A step raised what it should not have: a bug in the step, not in the sample."""

    kind = "bug"


class CorpusUnavailable(MMDataError):
    """A corpus of real media can't be fetched here; generated media do instead."""


class Unreachable(MMDataError, ConnectionError):
    """A server does not answer: no sample is to blame, and what is committed stays."""


class RunStopped(MMDataError):
    """A run ended before its work was done; what it had committed stays."""


class TooManyRejects(RunStopped):
    """More samples were rejected than the run's limit allows."""


class StoreError(MMDataError):
    """The store can't do what was asked of it."""


class Incomplete(StoreError):
    """A family lacks shards or rows that were asked for."""


class SchemaMismatch(StoreError):
    """A file, a table or a saved state has another form or version than expected."""


class CommitConflict(StoreError):
    """Another writer committed first, and trying again did not help."""


@contextmanager
def blame(step: str, key: str) -> Iterator[None]:
    """Let a `DataError` pass, and turn any other exception into a `StepError` that names step and sample."""
    try:
        yield
    except (DataError, StepError):
        raise
    except Exception as error:
        raise StepError(f"{step} failed on {key!r}: {type(error).__name__}: {error}") from error

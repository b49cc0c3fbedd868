"""All commands together, and what an error looks like to a person and to a script.

Exit codes: 0 done; 1 failed; 2 bad usage or configuration; 3 more rejects than the limit; 130 interrupted by Ctrl-C;
143 by SIGTERM. An interrupted run commits what is done, and the same command goes on from there.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import wraps
from io import TextIOWrapper
from typing import Any

import typer

from mmdata import __version__
from mmdata.cli import (
    asof,
    check,
    compact,
    demo,
    diff,
    doctor,
    export,
    export_model,
    features,
    forget,
    gc,
    ingest,
    logs,
    ls,
    plan,
    predict,
    rejects,
    report,
    run,
    schema,
    select,
    serve,
    show,
    snapshot,
    stats,
    stream,
    trace,
    train,
    trial,
    verify,
)
from mmdata.cli.options import StorageOption, given
from mmdata.cli.screen import CONFIGURATION, DONE, FAILED, INTERRUPTED, complain
from mmdata.core.packages import missing_package
from mmdata.core.storage import parse_options
from mmdata.errors import ConfigError, MissingExtra, MMDataError

log = logging.getLogger(__name__)

TERMINATED = 143
AT_ONCE = 2  # signals that a command may take its time for


def ended(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose end, whatever it is, a person is told in a few lines and a script by the exit code."""
    signature = inspect.signature(command, eval_str=True)
    reaches = bool({"store", "source"} & signature.parameters.keys())

    @wraps(command)
    def run_it(*args: object, storage_option: list[str] | None = None, **settings: object) -> None:
        try:
            try:
                with given(parse_options(storage_option)):
                    command(*args, **settings)
            finally:
                sys.stdout.flush()  # here, where a closed pipe is no error
        except BrokenPipeError:  # `mmdata ls | head -1`: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(DONE) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except ModuleNotFoundError as error:
            lacking = missing_package(error)
            if lacking is None:
                raise
            log.info("where it failed:", exc_info=True)
            complain(MissingExtra("mmdata", [lacking]))
            raise typer.Exit(CONFIGURATION) from None
        except (MMDataError, OSError) as error:
            log.info("where it failed:", exc_info=True)
            complain(error)
            raise typer.Exit(CONFIGURATION if isinstance(error, ConfigError) else FAILED) from None

    parameters = [*signature.parameters.values(), *([_STORAGE_OPTION] if reaches else [])]
    run_it.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
    run_it.__annotations__ = {each.name: each.annotation for each in parameters}
    return run_it


_STORAGE_OPTION = inspect.Parameter(
    "storage_option", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=StorageOption
)
app = typer.Typer(
    name="mmdata",
    help="Raw text, images, audio and video to a clean, versioned feature store, streamed into PyTorch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},  # where the terminal is as wide
)
for command, name in (
    (run.run, "run"),
    (plan.plan, "plan"),
    (check.check, "check"),
    (trial.trial, "try"),
    (ingest.ingest, "ingest"),
    (features.features, "features"),
    (select.select, "select"),
    (diff.diff, "diff"),
    (asof.asof, "asof"),
    (train.train, "train"),
    (predict.predict, "predict"),
    (export_model.export_model, "export-model"),
    (stream.stream, "stream"),
    (export.export, "export"),
    (ls.ls, "ls"),
    (show.show, "show"),
    (serve.serve, "serve"),
    (stats.stats, "stats"),
    (report.report, "report"),
    (trace.trace, "trace"),
    (rejects.rejects, "rejects"),
    (snapshot.snapshot, "snapshot"),
    (verify.verify, "verify"),
    (compact.compact, "compact"),
    (forget.forget, "forget"),
    (gc.gc, "gc"),
    (schema.schema, "schema"),
    (demo.demo, "demo"),
    (doctor.doctor, "doctor"),
):
    app.command(name)(ended(command))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mmdata {__version__}")
        raise typer.Exit


@app.callback()
def common(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say on standard error what is going on."),
    log_json: bool = typer.Option(False, "--log-json", help="Log and progress as JSON, one object a line."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),  # noqa: ARG001  the callback acts
) -> None:
    logs.set_up(verbose=verbose, as_json=log_json)
    if not verbose:
        for vendor in ("gcsfs", "s3fs", "adlfs", "azure"):  # their errors come as exceptions, too
            logging.getLogger(vendor).setLevel(logging.CRITICAL)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "info" if verbose else "error")  # it sets up its own handlers


def main() -> None:
    """The console script."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # a terminal that can't show a name must not end a run
    ending = _Ending()
    _answer(ending)
    atexit.register(_answer, signal.SIG_IGN)  # Python forgets handlers of its own before its process is gone
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _take_back_the_interrupt()
            raise SystemExit(ending.code) from None
        raise


def _take_back_the_interrupt() -> None:
    """See to it that `python -m mmdata` ends with the exit code that it is given.

    CPython notes an interrupt that falls into the execution of a string, as where a late import makes a dataclass, and
    ends such a process by SIGINT even after it was dealt with. The execution of another string clears the note.
    """
    make_dataclass("Nothing", [])


def _answer(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


@dataclass
class _Ending:
    """What Ctrl-C and SIGTERM do: the first ends the command well, the second is one too many, the third ends it now.

    A store is whole at any moment; without a good end only what was not committed yet is done again.
    """

    signals: int = 0
    code: int = INTERRUPTED

    def __call__(self, number: int, _: object) -> None:
        self.signals += 1
        if self.signals == 1:
            self.code = INTERRUPTED if number == signal.SIGINT else TERMINATED
            raise KeyboardInterrupt
        if self.signals > AT_ONCE:
            os._exit(self.code)

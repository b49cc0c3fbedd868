"""What goes to standard error besides results' own lines: a log for people, or for machines one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

PROGRESS = "progress"  # the attribute of a record that holds a run's progress


def set_up(*, verbose: bool, as_json: bool) -> None:
    """Send the log to standard error: warnings and errors, and with `verbose` what is going on."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True)
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def is_json() -> bool:
    """Whether the log is for machines."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


class JsonLines(logging.Formatter):
    """A record as one JSON object: time (ISO 8601, UTC), level, logger, message; perhaps error, progress."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said | getattr(record, PROGRESS, {}), default=str)

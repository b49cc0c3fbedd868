"""What a run leaves behind besides its model: a table of how it went, `log.csv`, and TensorBoard's own files."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmdata.errors import MissingExtra

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from mmdata.train.checkpoint import Epoch
    from mmdata.train.loop import Run, Watch

T = TypeVar("T")
LOG, BOARD = "log.csv", "tensorboard"
HEADER = ("step", "epoch", "loss", "lr", "samples_per_s", "data_wait")


@dataclass
class Clock:
    """Where the time of a run's epochs goes, since it was last read; what is between epochs does not count.

    Args:
        waited_s: of waiting for batches. busy_s: of working on them. n_samples: of all ranks.
    """

    waited_s: float = 0.0
    busy_s: float = 0.0
    n_samples: int = 0
    _given_s: float | None = None  # when the batch in hand was given

    def waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches, and the time that each lets wait is counted."""
        asked_s = time.perf_counter()
        for batch in batches:
            self._given_s = time.perf_counter()
            self.waited_s += self._given_s - asked_s
            yield batch
            asked_s = time.perf_counter()
            self.busy_s += asked_s - self._given_s
            self._given_s = None
        self.waited_s += time.perf_counter() - asked_s

    def read(self) -> tuple[float, float]:
        """Samples a second, and the share of the time that went by waiting; starts anew."""
        if self._given_s is not None:
            now_s = time.perf_counter()
            self.busy_s, self._given_s = self.busy_s + now_s - self._given_s, now_s
        passed_s = max(self.waited_s + self.busy_s, 1e-9)
        found = self.n_samples / passed_s, self.waited_s / passed_s
        self.waited_s, self.busy_s, self.n_samples = 0.0, 0.0, 0
        return found


class Recorder:
    """Writes rows as a run goes on, and tells another watch of the same.

    Args:
        run: the run. folder: where `log.csv` goes; None writes nothing. every: steps a row; None is a row an epoch.
        board: write for TensorBoard, too, into `tensorboard` beside it. watch: told next.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """

    def __init__(self, run: Run, folder: Path | None, *, every: int | None, board: bool, watch: Watch | None) -> None:
        self.run, self.every, self.watch = run, every, watch
        self.path = None if folder is None else folder / LOG
        self.board = _board(folder / BOARD, run.progress.step) if board and folder is not None else None
        self._losses: list[float] = []
        if self.path is not None:
            _cut(self.path, run.progress.step)

    def step(self, step: int, loss: float) -> None:
        """Note a step's loss; writes a row where one is due."""
        self._losses.append(loss)
        if self.every and step % self.every == 0:
            self._row(step, self.run.progress.epoch)
        if self.watch:
            self.watch.step(step, loss)

    def epoch(self, epoch: Epoch) -> None:
        """Write the epoch's row, or what is left of it since the last one."""
        if self._losses:
            self._row(self.run.progress.step, epoch.epoch)
        if self.board and epoch.val is not None:
            for name, value in vars(epoch.val).items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"val/{name}", value, self.run.progress.step)
        if self.watch:
            self.watch.epoch(epoch)

    def close(self) -> None:
        """Have all of it on the disk."""
        if self.board:
            self.board.close()

    def _row(self, step: int, epoch: int) -> None:
        samples_per_s, waited = self.run.clock.read()
        loss, self._losses = sum(self._losses) / len(self._losses), []
        lr = self.run.optimizer.param_groups[0]["lr"]
        row = dict(zip(HEADER, (step, epoch, loss, lr, samples_per_s, waited), strict=True))
        if self.path is not None:
            _append(self.path, row)
        if self.board:
            for name in HEADER[2:]:
                self.board.add_scalar(f"train/{name}", row[name], step)


def _append(path: Path, row: dict[str, Any]) -> None:
    """One whole line, in one write: a kill leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = ",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values())
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n" if file.tell() else f"{','.join(HEADER)}\n{line}\n")


def read_log(path: Path | str) -> list[dict[str, float]]:
    """The rows of a `log.csv`; a line that a kill broke off is no row."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [row for line in csv.DictReader(file) if (row := _numbers(line)) is not None]


def _numbers(line: dict[str, Any]) -> dict[str, float] | None:
    try:
        return {name: float(line[name]) for name in HEADER}
    except (KeyError, TypeError, ValueError):
        return None


def _cut(path: Path, step: int) -> None:
    """Take away rows after a step: they are of a run that got further than its checkpoint, and will come again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines[1:] if line.endswith("\n") and line.partition(",")[0].isdecimal()]
    kept = [line for line in kept if int(line.partition(",")[0]) <= step]
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(",".join(HEADER) + "\n" + "".join(kept), encoding="utf-8")
    temporary.replace(path)


def _board(folder: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        needs = "TensorBoard's files need its package: pip install 'mmdata[tensorboard]'"
        raise MissingExtra("train", [f"tensorboard: {needs}"]) from error
    return SummaryWriter(str(folder), purge_step=step + 1)

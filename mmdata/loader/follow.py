"""Streaming a store that still grows: each epoch reads a snapshot of its own, which pins what there was as it began.

Ranks and workers come to an epoch at different times and must read the same. The first of them pins the store's newest
picture under the epoch's name, which succeeds for one only; the others read that. So an epoch can be gone through again
for as long as its snapshot is there, whatever the store has come to hold: nobody deletes files that a snapshot pins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, SchemaMismatch, StoreError
from mmdata.loader.state import STATE_VERSION, place_in
from mmdata.loader.stream import Stream, stream

if TYPE_CHECKING:
    from mmdata.loader.collate import Made
    from mmdata.loader.parts import Part
    from mmdata.loader.replacing import Replaced
    from mmdata.store import Store

log = logging.getLogger(__name__)


class FollowingStream:
    """A place in the order of a growing store's samples: as a `Stream`, but that each epoch has a content of its own.

    What joins the store during an epoch is given from the next one on. An epoch's content is fixed when it is first
    asked for: by iterating, or by `n_steps`, `n_rows`, `specs` or `batch_size`.

    Args:
        store: an open store, not a snapshot; one that can be written to, for its snapshots.
        columns: as `stream` takes them.
        name: of what follows the store. Its snapshots are NAME.0, NAME.1, ...; whoever has this name sees the same.
        keep_epochs: how many epochs' snapshots to keep, the newest; None is all of them. What is no longer pinned can't
            be gone through again.
        settings: as `stream` takes them.

    Attributes:
        epoch: the epoch that is under way, or comes next. step: how many of its batches were given.

    Raises:
        ConfigError: a setting is out of range, or the store is a snapshot.
        StoreError: the name can't be a snapshot's.
    """

    def __init__(
        self,
        store: Store | Sequence[Part],
        columns: Sequence[str],
        *,
        name: str,
        keep_epochs: int | None = None,
        **settings: Any,
    ) -> None:
        from mmdata.store.layout import checked_snapshot

        if keep_epochs is not None and keep_epochs < 2:
            raise ConfigError("stream", ["keep_epochs: must be at least 2: ranks may be an epoch apart"])
        if isinstance(store, Sequence):
            raise ConfigError("stream", ["follow: a mixture can't be followed, one store can"])
        if store.pinned is not None:
            raise ConfigError("stream", [f"follow: snapshot {store.pinned!r} never changes: give the store itself"])
        if not isinstance(name, str):
            raise ConfigError("stream", [f"follow: expected a name for the snapshots of its epochs, not {name!r}"])
        checked_snapshot(f"{name}.0")
        self.name = name
        self._url, self._options = store.url, dict(store.storage_options)
        self._columns, self._settings, self._keep_epochs = list(columns), settings, keep_epochs
        self.epoch: int = settings.pop("epoch", 0)
        self.step = 0
        self._begun: tuple[int, Stream] | None = None  # an epoch, and its stream

    @property
    def specs(self) -> Mapping[str, ArraySpec]:
        """The promises of the feature columns, by name."""
        return self.at(self.epoch).specs

    @property
    def n_rows(self) -> int:
        """Samples of the epoch, over all ranks."""
        return self.at(self.epoch).n_rows

    @property
    def n_steps(self) -> int:
        """Batches of the epoch, the same on every rank."""
        return self.at(self.epoch).n_steps

    @property
    def batch_size(self) -> int | None:
        """Rows of this rank's batch; None where they differ from step to step."""
        return self.at(self.epoch).batch_size

    @property
    def n_replaced(self) -> int:
        """How many bad samples of this rank were replaced in the epoch."""
        return self.at(self.epoch).n_replaced

    @property
    def replaced(self) -> list[Replaced]:
        """The last of them."""
        return self.at(self.epoch).replaced

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[Any]:
        one = self.at(self.epoch)
        one.seek(epoch=self.epoch, step=self.step)
        for batch in one:
            self.step = one.step
            yield batch
        self.epoch, self.step = self.epoch + 1, 0

    def seek(self, *, epoch: int, step: int = 0) -> None:
        """Go to a place. Raises ValueError when there is none."""
        if epoch < 0 or step < 0:
            raise ValueError(f"there is no epoch {epoch}, step {step}")
        if step:
            self.at(epoch).seek(epoch=epoch, step=step)
        self.epoch, self.step = epoch, step

    def batches(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[tuple[int, Any]]:
        """The rank's batches start, start + stride, ... of an epoch, with their steps. Moves nothing."""
        return self.at(epoch).batches(epoch, start=start, stride=stride)

    def made(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[tuple[int, Made]]:
        """As `batches`, with what was replaced beside each batch."""
        return self.at(epoch).made(epoch, start=start, stride=stride)

    def note(self, replaced: Iterable[Replaced]) -> None:
        """Count samples that a worker of this rank replaced in a batch that was given."""
        self.at(self.epoch).note(replaced)

    def state_dict(self) -> dict[str, Any]:
        """The place, and what it is a place in, the epoch's snapshot among it: JSON values, a few hundred bytes.

        At an epoch's start there is no content yet: who goes on from there sees what the store holds by then.
        """
        if self._begun is None or self._begun[0] != self.epoch:
            return {"version": STATE_VERSION, "epoch": self.epoch, "step": self.step, "follow": self.name}
        one = self._begun[1]
        return {**one.state_dict(), "epoch": self.epoch, "step": self.step, "follow": self.name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of a state of any number of ranks and workers, in the content that it saw.

        Raises:
            SchemaMismatch: the state is of another stream, or its snapshot is gone; says which. Nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise SchemaMismatch(f"the stream's state is damaged: it is a {type(state).__name__}, not a mapping")
        if state.get("follow") != self.name:
            whose = f"of one that follows as {state['follow']!r}" if state.get("follow") else "of one that follows none"
            raise SchemaMismatch(f"the state is of another stream: {whose}, this one follows as {self.name!r}")
        place = place_in(state)
        epoch, step = place.epoch, place.step
        if "parts" in state:
            one = self._opened(epoch, new=False)
            one.load_state_dict(state)
            self._begun = epoch, one
        elif step:
            raise SchemaMismatch(f"the stream's state is damaged: step {step} of an epoch without content")
        self.epoch, self.step = epoch, step

    def at(self, epoch: int) -> Stream:
        """The stream of one epoch, over its snapshot, which is made if there is none yet.

        Raises:
            ConfigError, Incomplete, SchemaMismatch: as `stream`, of the store as it is now. Nothing is pinned then:
                mend the store, and the epoch can begin.
            StoreError: the epoch was begun before, and its snapshot is gone.
        """
        if self._begun is None or self._begun[0] != epoch:
            self._begun = epoch, self._opened(epoch, new=True)
        return self._begun[1]

    def _opened(self, epoch: int, *, new: bool) -> Stream:
        from mmdata.store import Store

        store = Store.open(self._url, storage_options=self._options)
        name, pinned = f"{self.name}.{epoch}", self._pinned(store)
        if epoch not in pinned and not new:
            raise SchemaMismatch(
                f"the state is of snapshot {name!r} of {self._url}, which is gone, and so is what that epoch saw: "
                f"go on with another epoch (seek(epoch=...)), and keep snapshots as long as states (keep_epochs)"
            )
        if epoch not in pinned and any(each > epoch for each in pinned):
            raise StoreError(
                f"{self._url} has snapshots of later epochs of {self.name!r}, and none of epoch {epoch}: to train anew "
                f"on what there is now, follow under another name"
            )
        if epoch not in pinned:
            frozen = store.frozen(name)
            stream(frozen, self._columns, epoch=epoch, **self._settings)  # what can't be streamed is not pinned
            self._pin(frozen, epoch)
        content = Store.open(self._url, snapshot=name, storage_options=self._options)
        return stream(content, self._columns, epoch=epoch, **self._settings)

    def _pinned(self, store: Store) -> set[int]:
        """The epochs that have a snapshot."""
        parts = (name.rpartition(".") for name in store.snapshots())
        return {int(epoch) for name, _, epoch in parts if name == self.name and epoch.isdecimal()}

    def _pin(self, frozen: Store, epoch: int) -> None:
        try:
            frozen.keep()
        except StoreError:
            if frozen.pinned not in frozen.snapshots():
                raise
            return  # another rank was first
        log.info("follow=%s epoch=%d place=%s samples=%d", self.name, epoch, self._url, len(frozen))
        if self._keep_epochs is not None and epoch >= self._keep_epochs:
            self._let_go(frozen, epoch - self._keep_epochs)

    def _let_go(self, store: Store, newest: int) -> None:
        """Delete the snapshots of epochs up to `newest`."""
        from mmdata.store import snapshots
        from mmdata.store.files import Files

        files = Files.at(self._url, self._options)
        for epoch in self._pinned(store):
            if epoch <= newest:
                snapshots.delete(files, f"{self.name}.{epoch}")

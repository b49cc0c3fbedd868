"""A pipeline, and what compiling it says: which decoder goes where, who reads what, which fingerprint a result has.

Compiling reads no data. It finds every fault at once: a part that nothing makes, a step of one type on a part of
another, two features of one name, an encoding that can't hold what it is given.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from mmdata.core.fingerprint import fingerprint
from mmdata.core.ports import Source
from mmdata.core.sample import Audio, Blob, Captions, Frames, Image, Sample, Text, Video
from mmdata.core.step import Feature, Filter, Map, RandomMap, Split, Step
from mmdata.errors import ConfigError

STORE_FORMAT = 1  # part of every fingerprint of stored rows: raise it when the rows' form changes
REFERENCE = "reference"
NAMES = {
    Blob: "undecoded bytes", Text: "text", Captions: "captions", Image: "an image", Audio: "audio", Video: "a video",
    Frames: "frames",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a pipeline file says of a store: where samples come from, what happens to them, what is kept and computed.

    Args:
        source: where samples come from.
        ingest: steps from raw to stored, in order.
        store: encodings by part: the parts that are kept, beside text, which always is; None keeps all as "auto".
        features: families to compute, each from the parts as the store returns them.
        seed: decides all randomness of ingest steps.
    """

    source: Source | None = None
    ingest: tuple[Step, ...] = ()
    store: Mapping[str, str] | None = None
    features: tuple[Step, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a source is divided, when to give up, and where models run. Nothing of it is part of a fingerprint.

    Args:
        shard_samples: samples a shard; None lets their number decide (128 to 8,192).
        shard_bytes: bytes of source media a shard, at most (one sample may be larger).
        max_rejects: share of the samples to be done (0 to 1) that may be rejected; past it the run stops.
        timeout_s: seconds that one call of a step may take; a sample that takes longer is rejected as `timed_out`.
            A model's loading, and a batch, count as one call.
        memory_bytes: what a worker process may hold in memory; a sample that takes more is rejected as
            `out_of_memory`. None is no limit.
        device: where models run: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N" or "mps".
        gpus_per_worker: the share of a GPU that a worker takes: with 0.5, two workers share one.
        compile: whether torch compiles models first, which takes a minute and pays in long runs.
    """

    shard_samples: Annotated[int, Ge(1)] | None = None
    shard_bytes: Annotated[int, Ge(1)] = 256_000_000
    max_rejects: Annotated[float, Ge(0), Le(1)] = 0.1
    timeout_s: Annotated[float, Gt(0)] = 1800.0
    memory_bytes: Annotated[int, Ge(1)] | None = None
    device: str = "auto"
    gpus_per_worker: Annotated[float, Gt(0), Le(1)] = 1.0
    compile: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?|mps", self.device):
            raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, not {self.device!r}")


@dataclass(frozen=True)
class Codecs:
    """What compiling must know of the codecs, handed in by the engine, as core knows no format.

    Args:
        decoders: the step that decodes a blob to a type, by type.
        fault: why an encoding's name is wrong, or None.
        encodes: the type that an encoding holds; None when it takes any part as it is.
        is_lossy: whether decoding gives something else than what was encoded.
    """

    decoders: Mapping[type, type[Step]]
    fault: Callable[[str], str | None]
    encodes: Callable[[str], type | None]
    is_lossy: Callable[[str], bool]


@dataclass(frozen=True)
class Placed:
    """A step in its place.

    Args:
        step: the step. reads, writes: parts; None is the whole sample.
        occurrence: how many equal steps on the same part stand before it, so that two flips differ.
        implied: whether the compiler put it there.
    """

    step: Step
    reads: str | None
    writes: str | None
    occurrence: int = 0
    implied: bool = False

    @property
    def label(self) -> str:
        """The row in statistics and the prefix of reasons."""
        return self.step.name


@dataclass(frozen=True)
class Kept:
    """A part that is stored: how, and the decoder that it needs before it can be encoded, if any."""

    encoding: str
    decoder: Step | None = None


@dataclass(frozen=True)
class Family:
    """A feature in its place: its step, and the fingerprint of its data files. What it reads is decoded by default.

    Args:
        decoder: what decodes the part that it reads, where that is not decoded before it is stored.
    """

    step: Feature[Any]
    fp: str
    decoder: Step | None = None

    @property
    def name(self) -> str:
        return self.step.into


@dataclass(frozen=True)
class Compiled:
    """A pipeline that can run.

    Args:
        steps: ingest, with implied decoders. kept: stored parts. families: features.
        samples_fp: fingerprint of the samples' rows and tars.
        remade: parts that features read and the store does not keep: to add a feature, they are made from the source.
        keeps_all: whether every part but decoded frames is kept, also such as the pipeline does not name.
    """

    steps: tuple[Placed, ...]
    kept: Mapping[str, Kept]
    families: tuple[Family, ...]
    samples_fp: str
    seed: int
    remade: frozenset[str] = frozenset()
    keeps_all: bool = False

    @property
    def recipe(self) -> dict[str, str]:
        """Which fingerprint of each family belongs to these samples."""
        return {family.name: family.fp for family in self.families}


def guess(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: a likely one, or those there are."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f", did you mean {close[0]!r}?"
    return f"; there are {', '.join(map(repr, names))}" if names else ""


def compile_pipeline(
    pipeline: Pipeline, codecs: Codecs, *, parts: Collection[str] | None = None, where: str = "pipeline"
) -> Compiled:
    """Check a pipeline and put everything in its place.

    Args:
        pipeline: what to check.
        codecs: which decoders and encodings there are.
        parts: the part names that the source gives; None when they are not known yet: then any name is taken.
        where: what a message calls the pipeline.

    Raises:
        ConfigError: with every fault.
    """
    return _Compiler(codecs, parts).run(pipeline, where)


@dataclass
class _Compiler:
    """The types and fingerprints of the parts, as they are after the steps placed so far."""

    codecs: Codecs
    parts: Collection[str] | None
    types: dict[str, type] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)  # of the steps placed so far that change samples
    whole: tuple[str, ...] = ()  # of those up to the last one that takes whole samples
    row_prints: list[str] = field(default_factory=list)

    def run(self, pipeline: Pipeline, where: str) -> Compiled:
        for name in self.parts or ():
            self.types[name], self.prints[name] = Blob, "raw"
        for index, step in enumerate(pipeline.ingest):
            self._place(f"ingest[{index}]", step, pipeline.seed)
        source_parts = [name for name in self.types if self.types[name] is not Frames]
        kept = self._keep(dict.fromkeys(source_parts, "auto") if pipeline.store is None else pipeline.store)
        families = self._families(pipeline.features, kept)
        if self.faults:
            raise ConfigError(where, self.faults)
        encodings = sorted((name, part.encoding) for name, part in kept.items())
        # where all parts are kept, a part that first comes with tomorrow's files must not remake today's rows
        kept_as = "auto" if pipeline.store is None else encodings
        samples_fp = fingerprint("samples", STORE_FORMAT, self.row_prints, kept_as)
        reads = {family.step.on for family in families if family.step.on is not None}
        remade = frozenset(name for name in reads if name not in kept or kept[name].encoding == REFERENCE)
        return Compiled(tuple(self.placed), kept, families, samples_fp, pipeline.seed, remade, pipeline.store is None)

    def _type_of(self, place: str, part: str) -> type | None:
        if part not in self.types:
            if self.parts is not None and not self.whole:
                self.faults.append(f"{place}: there is no part {part!r} here{guess(part, self.types)}")
                return None
            # a step on whole samples may have made it, of any type
            self.types[part] = Blob if not self.whole else object
            self.prints[part] = self._fresh_print(part)
        return self.types[part]

    def _fresh_print(self, part: str) -> str:
        """The fingerprint of a part that no step names: as it came, or as steps on whole samples left it."""
        return fingerprint("whole", self.whole, part) if self.whole else "raw"

    def _decoder(self, place: str, step: Step, part: str, takes: type) -> Step | bool | None:
        """The decoder to put before a step; None when none is needed; False when there is a fault."""
        have = self._type_of(place, part)
        if have is None:
            return False
        if takes is have or object in (takes, have):
            return None
        if have is Blob and takes in self.codecs.decoders:
            return self.codecs.decoders[takes](on=part)
        given = NAMES.get(have, have.__name__)
        wanted = NAMES.get(takes, takes.__name__)
        tail = "; put codec.video.DecodeFrames before it" if takes is Frames else ""
        self.faults.append(f"{place}: {step.name} works on {wanted}, but {part!r} is {given} there{tail}")
        return False

    def _place(self, place: str, step: Step, seed: int) -> None:
        if isinstance(step, Feature):
            self.faults.append(f"{place}: {step.name} makes a feature: it belongs under features")
            return
        if step.on is None and step.takes not in (Sample, object):
            self.faults.append(f"{place}: {step.name} works on a part; name it with on")
            return
        needs = dict(step.needs(self.types if self.parts is not None else None))
        if step.on is not None and step.takes is not Sample:
            needs[step.on] = step.takes
        decoders = [self._decoder(place, step, part, takes) for part, takes in needs.items()]
        if False in decoders:
            return
        for decoder in decoders:
            if isinstance(decoder, Step):
                self._put(decoder, seed, implied=True)
        try:
            step.fingerprint()
        except ConfigError as error:  # a step looks at its files: they are part of its settings
            self.faults += [f"{place}: {step.name}: {fault}" for fault in error.faults]
        else:
            self._put(step, seed, implied=False)

    def _put(self, step: Step, seed: int, *, implied: bool) -> None:
        reads = step.on if step.takes is not Sample else None
        writes = getattr(step, "into", None) or reads
        same = Counter((p.label, p.reads) for p in self.placed)[step.name, reads]
        self.placed.append(Placed(step, reads, None if isinstance(step, Filter) else writes, same, implied))
        own = fingerprint(step.fingerprint(), reads, writes, *((seed, same) if isinstance(step, RandomMap) else ()))
        self.row_prints.append(own)
        if isinstance(step, Filter):
            return
        self.changes.append(own)
        if isinstance(step, Split) or reads is None:
            # whatever stands before may be read; told by steps and not by parts, as new files may bring new parts
            self.whole = tuple(self.changes)
            self.prints = {name: self._fresh_print(name) for name in self.prints}
        elif isinstance(step, Map | RandomMap) and writes is not None:
            before_part = self.prints[reads]
            random = (seed, same, reads) if isinstance(step, RandomMap) else ()
            self.prints[writes] = fingerprint(step.fingerprint(), before_part, *random)
            self.types[writes] = step.gives

    def _keep(self, store: Mapping[str, str]) -> dict[str, Kept]:
        kept = {}
        for part, encoding in store.items():
            place = f"store.{part}"
            have = self._type_of(place, part)
            if have is None:
                continue
            if encoding != REFERENCE and (fault := self.codecs.fault(encoding)):
                self.faults.append(f"{place}: {fault}")
                continue
            kept[part] = Kept(encoding, self._encodable(place, part, have, encoding))
        for part in sorted(self.types.keys() - kept.keys()):
            if self.types[part] is Text:  # text always stands in the rows
                kept[part] = Kept("auto")
        return kept

    def _encodable(self, place: str, part: str, have: type, encoding: str) -> Step | None:
        wants = None if encoding == REFERENCE else self.codecs.encodes(encoding)
        if encoding == REFERENCE and any(p.writes == part and not _decodes(p) for p in self.placed):
            self.faults.append(f"{place}: a reference keeps the source's own bytes, but steps change {part!r}")
        if wants is None or have in (wants, object):
            return None
        if have is Blob and wants in self.codecs.decoders:
            decoder: Step = self.codecs.decoders[wants](on=part)
            return decoder
        given, wanted = NAMES.get(have, have.__name__), NAMES.get(wants, wants.__name__)
        self.faults.append(f"{place}: {encoding!r} holds {wanted}, but {part!r} is {given}")
        return None

    def _families(self, features: Sequence[Step], kept: Mapping[str, Kept]) -> tuple[Family, ...]:
        families = []
        names: Counter[str] = Counter()
        for index, step in enumerate(features):
            place = f"features[{index}]"
            if not isinstance(step, Feature):
                self.faults.append(f"{place}: {step.name} changes samples: it belongs under ingest")
                continue
            decoder = None if step.on is None else self._decoder(place, step, step.on, step.takes)
            try:
                for column in step.columns():
                    names[column] += 1
                    if names[column] == 2:
                        self.faults.append(f"{place}: another feature makes {column!r} too; give one of them into:")
                if decoder is not False:
                    found = decoder if isinstance(decoder, Step) else None
                    families.append(Family(step, self._family_print(step, kept, found), found))
            except ConfigError as error:  # a step looks at its model's files: they are part of its settings
                self.faults += [f"{place}: {fault}" for fault in error.faults]
        return tuple(families)

    def _family_print(self, step: Feature[Any], kept: Mapping[str, Kept], decoder: Step | None) -> str:
        if step.on is None:
            lossy = sorted((name, how.encoding) for name, how in kept.items() if self._is_lossy(how))
            reads: Any = [self.changes, lossy]
        else:
            reads = self._read_print(step.on, kept.get(step.on), decoder)
        return fingerprint("feature", step.fingerprint(), sorted(step.columns()), reads)

    def _is_lossy(self, kept: Kept) -> bool:
        return kept.encoding != REFERENCE and self.codecs.is_lossy(kept.encoding)

    def _read_print(self, part: str, kept: Kept | None, decoder: Step | None) -> str:
        """The fingerprint of a part as a feature reads it: decoded, and through its encoding where that is lossy."""
        decoded = self.prints.get(part) or self._fresh_print(part)
        if decoder is not None:
            decoded = fingerprint(decoder.fingerprint(), decoded)
        if kept is not None and self._is_lossy(kept):
            return fingerprint("stored", kept.encoding, decoded)
        return decoded


def _decodes(placed: Placed) -> bool:
    """Whether a step only decodes: a part that is merely decoded still has its own bytes."""
    return placed.step.takes is Blob and placed.step.gives is not Blob

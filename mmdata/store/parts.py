"""A stored sample's parts as users get them: decoded when first touched, on the clock and grid of their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mmdata.codec.decoders import decode
from mmdata.codec.sniff import HEAD_BYTES, media_type, modality
from mmdata.core.sample import Audio, Captions, Frames, Image, Part, Text, Video
from mmdata.store.read import StoredBlob

_TYPES: Mapping[str, type] = {
    "image": Image, "audio": Audio, "video": Video, "text": Text, "captions": Captions, "frames": Frames,
}  # fmt: skip


class StoredParts(Mapping[str, Part]):
    """Parts by name. Each is decoded when it is first asked for, and then kept.

    Asking raises what decoding does: `DecodeError`, and `Unreadable` for a part that is in its source only.
    """

    def __init__(self, blobs: Mapping[str, StoredBlob]) -> None:
        self._blobs = blobs
        self._decoded: dict[str, Part] = {}

    def __getitem__(self, name: str) -> Part:
        if name not in self._decoded:
            self._decoded[name] = _decoded(self._blobs[name])
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)

    def blob(self, name: str) -> StoredBlob:
        """The part's bytes as they are stored."""
        return self._blobs[name]


def _decoded(blob: StoredBlob) -> Part:
    """A blob as the part that it was; one that no step ever decoded, as what its bytes are."""
    kind = blob.kind if blob.kind in _TYPES else modality(media_type(blob.data()[:HEAD_BYTES]))
    if kind is None:
        return blob
    part = decode(blob, _TYPES[kind])
    if isinstance(part, Audio | Video | Captions) and blob.time_map is not None:
        return replace(part, time_map=blob.time_map)
    if isinstance(part, Image | Frames) and blob.space_map is not None:
        return replace(part, space_map=blob.space_map)
    return part

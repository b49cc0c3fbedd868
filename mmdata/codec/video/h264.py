"""What packets of H.264 hold, by their NAL units: ITU-T H.264, 7.3.1 and annex B; ISO/IEC 14496-15 in MP4, Matroska."""

from __future__ import annotations

from collections.abc import Iterator

_SLICE, _LAST_OF_SLICES = 1, 5
IDR = 5


def is_idr(packet: bytes, extradata: bytes) -> bool:
    """Whether a packet's picture is an IDR: nothing after it needs anything before it. An I-frame alone is not that.

    Args:
        packet: one picture.
        extradata: of its track; it says whether units begin with their length, and how long that is.
    """
    return next((kind for kind in _kinds(packet, extradata) if _SLICE <= kind <= _LAST_OF_SLICES), 0) == IDR


def _kinds(packet: bytes, extradata: bytes) -> Iterator[int]:
    """The types of its NAL units in order."""
    if len(extradata) > 4 and extradata[0] == 1:  # avcC
        n_length, at = (extradata[4] & 3) + 1, 0
        while at + n_length < len(packet):
            yield packet[at + n_length] & 31
            at += n_length + int.from_bytes(packet[at : at + n_length], "big")
        return
    at = packet.find(b"\0\0\1")
    while 0 <= at < len(packet) - 3:
        yield packet[at + 3] & 31
        at = packet.find(b"\0\0\1", at + 3)

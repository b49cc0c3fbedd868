"""Pictures to bytes, by OpenCV; the orientation that is still to be applied goes along as EXIF."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from mmdata.codec.image.decode import opencv
from mmdata.core.sample import Image
from mmdata.errors import DataError


def png_bytes(image: Image) -> bytes:
    """PNG, lossless, at the compression that costs least time."""
    cv2 = opencv()
    quick = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    data = _encoded(".png", image, [*quick, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB])
    if image.orientation == 1:
        return data
    body = b"eXIf" + exif(image.orientation)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]  # after the signature and IHDR


def jpeg_bytes(image: Image, quality: int) -> bytes:
    """Baseline JPEG, chroma at half size."""
    data = _encoded(".jpg", image, [opencv().IMWRITE_JPEG_QUALITY, quality])
    if image.orientation == 1:
        return data
    body = b"Exif\0\0" + exif(image.orientation)
    return data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body + data[2:]


def jpeg_pixels(data: bytes) -> np.ndarray:
    """What `DecodeImage` gives for bytes of `jpeg_bytes`, whose header need not be read, as it is known."""
    cv2 = opencv()
    pixels: np.ndarray = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return pixels


def webp_bytes(image: Image, quality: int) -> bytes:
    """Lossy WebP."""
    data = _encoded(".webp", image, [opencv().IMWRITE_WEBP_QUALITY, quality])
    if image.orientation == 1:
        return data
    size = (image.width - 1).to_bytes(3, "little") + (image.height - 1).to_bytes(3, "little")
    turn = exif(image.orientation)
    body = (
        b"WEBPVP8X" + struct.pack("<II", 10, 0x08) + size + data[12:] + struct.pack("<4sI", b"EXIF", len(turn)) + turn
    )
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def exif(orientation: int) -> bytes:
    """EXIF that holds the orientation and nothing else (CIPA DC-008, tag 274)."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def _encoded(extension: str, image: Image, settings: list[int]) -> bytes:
    cv2 = opencv()
    pixels = image.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise DataError(
            f"a picture must be uint8 [height, width, 3 or 1] to be stored, not {pixels.dtype} {pixels.shape}"
        )
    if pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(extension, pixels, settings)
    except cv2.error as error:
        raise DataError(f"OpenCV can't write {image.width}x{image.height} pixels as {extension}: {error.err}") from None
    if not done:
        raise DataError(f"OpenCV can't write {image.width}x{image.height} pixels as {extension}")
    return bytes(data)

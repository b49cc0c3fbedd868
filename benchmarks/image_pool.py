"""The plain OpenCV pool: decode, shrink to 256 px, hash, sharpness, write; nothing else, no error survives.

    python benchmarks/image_pool.py FOLDER OUT --workers 2

What bounds any tool that does this work with OpenCV: JPEGs in a tar, features in one Parquet file.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SIZE_PX = 256
Made = tuple[str, bytes, bytes, float]


def work(path: Path) -> Made:
    """Name, JPEG, the 64 bits of pHash, sharpness."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path} is no picture")
    scale = SIZE_PX / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    low = cv2.dct(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8]
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return path.stem, jpeg, np.packbits(low > np.median(low)).tobytes(), sharpness


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    paths = sorted(args.source.rglob("*.jpg"))
    args.out.mkdir(parents=True)
    rows: list[tuple[str, bytes, float]] = []
    fork = multiprocessing.get_context("fork")
    with (
        fork.Pool(args.workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool,
        tarfile.open(args.out / "media.tar", "w") as tar,
    ):
        for number, (name, jpeg, bits, sharpness) in enumerate(pool.imap(work, paths, chunksize=16)):
            member = tarfile.TarInfo(f"{number:08d}_{name}.jpg")
            member.size = len(jpeg)
            tar.addfile(member, io.BytesIO(jpeg))
            rows.append((name, bits, sharpness))
    names, hashes, sharp = zip(*rows, strict=True)
    table = pa.table({"key": names, "phash": hashes, "sharpness": pa.array(sharp, pa.float32())})
    pq.write_table(table, args.out / "features.parquet")
    print(json.dumps({"stored": len(rows)}))


if __name__ == "__main__":
    main()

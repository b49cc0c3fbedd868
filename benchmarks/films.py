"""Real films to measure on, and stretches of them.

Big Buck Bunny, whole: 596 s of H.264, 1280 x 720 at 24 a second. Blender Foundation, CC BY 3.0. It lies in the source
package of moviepy 2.2.1, which pip downloads (58 MB). What cameras saw: Debian's `opencv-doc` (96 MB).

    python benchmarks/films.py      # fetch Big Buck Bunny, and print where it lies
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import av

from mmdata.testing.corpora import default_cache

INSIDE = "docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip"
NAME = "moviepy_10_minutes/resources/bbb.mp4"
CAMERA = ("vtest.avi", "tree.avi")
FETCH = ("pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "moviepy==2.2.1")


def bunny() -> Path:
    """The film; fetched when it is not there."""
    place = default_cache() / "corpora" / "big-buck-bunny" / "bbb.mp4"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            subprocess.run([sys.executable, "-m", *FETCH, "--dest", folder], check=True)
            (archive,) = Path(folder).glob("moviepy-*.tar.gz")
            with tarfile.open(archive) as tar:
                (member,) = (name for name in tar.getnames() if name.endswith(INSIDE))
                inner = tar.extractfile(member)
                if inner is None:
                    raise RuntimeError(f"{member} is no file of {archive.name}")
                part = Path(folder) / "bbb.mp4"
                part.write_bytes(zipfile.ZipFile(io.BytesIO(inner.read())).read(NAME))
            part.rename(place)
    return place


def camera() -> list[Path]:
    """What cameras saw: a street for 79 s, and a tree; of OpenCV's documentation (BSD-3)."""
    place = default_cache() / "corpora" / "opencv-doc"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            subprocess.run(["apt-get", "download", "opencv-doc"], cwd=folder, check=True)
            (package,) = Path(folder).glob("opencv-doc_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(package), f"{folder}/all"], check=True)
            (Path(folder) / "all").rename(place)
    return [found for name in CAMERA for found in sorted(place.rglob(name))[:1]]


def stretch(source: Path, target: Path, seconds: float, *, loops: int = 1) -> Path:
    """The film's first seconds, `loops` times over, without its sound: packets are copied, nothing is encoded."""
    with av.open(str(target), "w", format="mp4") as made:
        stream, after = None, 0
        for _ in range(loops):
            with av.open(str(source)) as film:
                pictures = film.streams.video[0]
                stream = stream or made.add_stream_from_template(pictures)
                if pictures.time_base is None:
                    raise RuntimeError(f"{source} has no clock")
                end = after
                for packet in film.demux(pictures):
                    if packet.dts is None or packet.pts is None or float(packet.dts * pictures.time_base) >= seconds:
                        continue
                    end = max(end, after + packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + after, packet.dts + after, stream
                    made.mux(packet)
                after = end
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{bunny()}\n")

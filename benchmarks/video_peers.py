"""What mmdata's features of films are measured against, each in a process of its own; see video.py.

    out/peers/video/bin/python benchmarks/video_peers.py floor|cv2|loop|scenes FILM
    out/peers/juicer-video/bin/python benchmarks/video_peers.py juicer FILM

All of them use one thread. Flow is DIS, medium, at 8 frames a second and 320 pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np

WIDTH, FLOW_EVERY, FRAMES_EVERY = 320, 3, 24


def floor(path: str) -> int:
    """One decode (PyAV) and one flow pass (OpenCV): nothing can do both for less with these libraries."""
    import av

    flow, before, n = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), None, 0
    with av.open(path) as film:
        film.streams.video[0].thread_type = "NONE"
        film.streams.video[0].codec_context.thread_count = 1
        for n, frame in enumerate(film.decode(video=0)):
            if n % FLOW_EVERY == 0:
                luma = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
                after = cv2.resize(luma[: frame.height, : frame.width], (WIDTH, 180), interpolation=cv2.INTER_AREA)
                if before is not None:
                    flow.calc(before, after, None)  # type: ignore[call-overload]
                before = after
    return n + 1


def _captured(path: str) -> Iterator[np.ndarray]:
    film = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while True:
        is_there, frame = film.read()
        if not is_there:
            return
        yield frame


def cv2_floor(path: str) -> int:
    """The same as `floor` by cv2.VideoCapture, as most scripts have it."""
    flow, before, n = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), None, 0
    for n, frame in enumerate(_captured(path)):
        if n % FLOW_EVERY == 0:
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            after = cv2.resize(grey, (WIDTH, 180), interpolation=cv2.INTER_AREA)
            if before is not None:
                flow.calc(before, after, None)  # type: ignore[call-overload]
            before = after
    return n + 1


def loop(path: str) -> int:
    """All four in one loop over cv2.VideoCapture: frames, keyframes by histogram, PySceneDetect's detector, flow."""
    from scenedetect import FrameTimecode
    from scenedetect.detectors import ContentDetector

    detector, flow = ContentDetector(), cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before, kept, histograms, cuts, n = None, [], [], [], 0
    for n, frame in enumerate(_captured(path)):
        small = cv2.resize(frame, (256, 144), interpolation=cv2.INTER_LINEAR)
        cuts += detector.process_frame(FrameTimecode(n, 24.0), small)
        if n % FLOW_EVERY == 0:
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            after = cv2.resize(grey, (WIDTH, 180), interpolation=cv2.INTER_AREA)
            if before is not None:
                flow.calc(before, after, None)  # type: ignore[call-overload]
            before = after
        if n % (FRAMES_EVERY // 2) == 0:
            histograms.append(cv2.calcHist([small], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel())
        if n % FRAMES_EVERY == 0:
            kept.append(cv2.resize(frame, (224, 126), interpolation=cv2.INTER_AREA))
    rows = np.stack(histograms)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 20, 0.0)
    labels = np.zeros((len(rows), 1), np.int32)
    cv2.kmeans(rows, min(8, len(rows)), labels, criteria, 1, cv2.KMEANS_PP_CENTERS)
    return n + 1


def scenes(path: str) -> int:
    """PySceneDetect alone, as its own documentation has it."""
    from scenedetect import ContentDetector, SceneManager, open_video

    video, manager = open_video(path, backend="pyav", threading_mode="NONE"), SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(video)
    return len(manager.get_scene_list())


def juicer(path: str) -> int:
    """Data-Juicer's motion filter alone: Farneback's flow, 8 frames a second, 180 rows."""
    from data_juicer.ops.filter.video_motion_score_filter import VideoMotionScoreFilter  # type: ignore[import-not-found]

    step = VideoMotionScoreFilter(sampling_fps=8, size=180)
    found = step.compute_stats_single({"videos": [path], "__dj__stats__": {}})
    return len(found["__dj__stats__"])


WAYS = {"floor": floor, "cv2": cv2_floor, "loop": loop, "scenes": scenes, "juicer": juicer}

if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.stdout.write(f"{WAYS[sys.argv[1]](sys.argv[2])}\n")

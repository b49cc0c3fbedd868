"""The command, as a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmdata.serve.app import serving
from mmdata.store.store import Store

Shown = Any  # the fixtures' classes; conftest can't be imported
SERVE = [sys.executable, "-m", "mmdata", "serve"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_answers_and_ends_well(shown: Shown, ask_at: Any, how: signal.Signals) -> None:
    with subprocess.Popen([*SERVE, shown.store, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            found = re.search(r" is at (http://127\.0\.0\.1:\d+/) ", line)
            assert found, line
            ask = ask_at(found[1])
            assert "133 of 133 samples" in re.sub("<[^>]*>", "", ask("samples").text)
            assert "clean.text.KeepLines" in ask("steps", key=shown.spoken).text
            server.send_signal(how)
            assert server.wait(120) == 0
        finally:
            server.kill()


def test_a_port_that_is_taken_and_a_store_that_is_none_are_told(shown: Shown, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*SERVE, shown.store, "--port", port], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port}" in done.stderr
    assert "--port 0" in done.stderr
    done = subprocess.run([*SERVE, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, "no store at" in done.stderr) == (1, True)


def test_damaged_files_cost_what_they_hold(shown: Shown, ask_at: Any, tmp_path: Path) -> None:
    store = Path(shutil.copytree(shown.store, tmp_path / "store"))
    for folder, keep in (("media", 0), ("features/image.phash", 10)):
        for file in (store / folder).iterdir():
            if file.suffix in (".tar", ".parquet"):
                os.truncate(file, keep)
    with serving(Store.open(store)) as url:
        ask = ask_at(url)
        assert ask("").status == 200
        assert "can't be read" in ask("").text
        assert ask("samples").status == 200
        page = ask("sample", key=shown.spoken)
        assert page.status == 200
        assert "damaged or can" in page.text
        assert "image.sharpness" in page.text
        assert ask("thumb", key=shown.spoken, part="image").headers["content-type"] == "image/svg+xml"
        assert ask("media", key=shown.spoken, part="image").status == 400
        assert ask("samples", like=shown.spoken, on="image.phash").status == 400

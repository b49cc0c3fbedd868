"""Bytes to film, and film to frames and sound, by FFmpeg."""

from mmdata.codec.video.clips import DecodeClip
from mmdata.codec.video.frames import DecodeFrames
from mmdata.codec.video.opening import OpenVideo
from mmdata.codec.video.passing import decoded, seen
from mmdata.codec.video.showing import BrokenOff
from mmdata.codec.video.sound import DecodeSound

__all__ = ["BrokenOff", "DecodeClip", "DecodeFrames", "DecodeSound", "OpenVideo", "decoded", "seen"]

"""Speech and its transcript: when each word is said, whether it is said at all, and files that tell."""

from mmdata.align.speech.steps import AlignSpeech
from mmdata.align.speech.words import TrimTranscript, Word, WordTimes, heard, words_of
from mmdata.align.speech.writing import to_ctm, to_textgrid, to_vtt

__all__ = ["AlignSpeech", "TrimTranscript", "Word", "WordTimes", "heard", "to_ctm", "to_textgrid", "to_vtt", "words_of"]

"""Nouns, verbs and plugs: what a sample is, what a step does, what the rest must offer. numpy and errors only."""

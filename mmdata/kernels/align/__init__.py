"""Aligning as arrays and strings: best paths, acoustic models, what is spoken for what is written, clocks."""

"""Decisions over the rows of a store, written as named selections. Moves no media."""

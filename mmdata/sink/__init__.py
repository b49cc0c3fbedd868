"""Where samples go: the formats of other tools. `export.py` puts a store, a form and a destination together."""

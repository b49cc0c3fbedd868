"""Facts as SVG and text. Nothing here reads a store."""

"""Thin training on a store's features: an encoder an input, a fusion, a head, one readable loop, one file to resume."""

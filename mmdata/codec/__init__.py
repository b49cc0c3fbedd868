"""Bytes to typed parts and back. The only package that knows a media format."""

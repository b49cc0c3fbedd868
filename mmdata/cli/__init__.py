"""The command line: one file a command, each of which parses, calls one function, and prints."""

from __future__ import annotations


def main() -> None:
    """The console script. Workers of the pool load it, too, and need none of the commands."""
    from mmdata.cli.app import main as console

    console()

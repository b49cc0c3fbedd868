"""Write a generated multimodal task into a folder, and say what its best possible scores are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdata.testing.systems import SYSTEMS


def main(arguments: Sequence[str]) -> int:
    """Write the files; returns the exit code."""
    asked = argparse.ArgumentParser(prog="python -m mmdata.testing.systems", description=__doc__)
    asked.add_argument("system", choices=SYSTEMS)
    asked.add_argument("folder")
    asked.add_argument("--n", type=int, default=1000, help="samples")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--noise", action="store_true", help="only the best modality tells, the others are noise")
    given = asked.parse_args(arguments)
    system = SYSTEMS[given.system]
    system.build(given.folder, given.n, given.seed, noise=given.noise)
    world = system.at(noise=given.noise)
    for names in [*([name] for name in world.modalities), list(world.modalities)]:
        sys.stdout.write(f"{' + '.join(names)}: accuracy at best {world.accuracy(names):.3f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

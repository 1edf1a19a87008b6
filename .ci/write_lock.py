"""Write names and versions of what this Python has installed, sorted, and nothing else: `write_lock.py FILE`.

`pip freeze` would add the address of the checkout, and on some machines those of local wheels.
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

LEFT_OUT = {"curate", "pip"}
HEADER = "# Installed and tested together on Linux with Python 3.11; names and versions only. Written by `make lock`.\n"


def normalised(name: str) -> str:
    """Write a distribution's name the way package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Return the version of each installed distribution, without local version labels."""
    found = {normalised(each.name): each.version.partition("+")[0] for each in distributions()}
    return {name: version for name, version in found.items() if name not in LEFT_OUT}


def pinned(file: Path) -> dict[str, str]:
    """Return what a lock pins so far."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pins = (line.partition("==") for line in lines if "==" in line)
    return {normalised(name): version for name, _, version in pins}


def main() -> None:
    """Bring the file that the command line names up to date; a pin of what is not installed here stays."""
    file = Path(sys.argv[1])
    pins = sorted({**pinned(file), **installed()}.items())
    file.write_text(HEADER + "".join(f"{name}=={version}\n" for name, version in pins), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write names and versions of what this Python has installed, sorted, and nothing else: `write_lock.py FILE`.

`pip freeze` would add the address of the checkout, and on some machines those of local wheels.
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

LEFT_OUT = {"curate", "pip"}
HEADER = "# What was installed and tested together, on Linux with Python 3.11. Written by `make lock`; names and versions only.\n"


def pins() -> list[str]:
    """Return one `name==version` for each installed distribution, by normalised name, without local version labels."""
    found = {re.sub(r"[-_.]+", "-", each.name).lower(): each.version.split("+")[0] for each in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in LEFT_OUT]


def main() -> None:
    """Write the file that the command line names."""
    Path(sys.argv[1]).write_text(HEADER + "\n".join(pins()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

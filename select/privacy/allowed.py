"""What may stand in a text though a rule would find it: patterns such as `*@example.org`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from hashlib import sha256


class Allowed:
    """Values that are no findings, as patterns with `*` and `?`, whatever their letter case.

    >>> allowed = Allowed(["*@example.org"])
    >>> allowed.holds("Info@Example.org"), allowed.holds("info@example.org.uk")
    (True, False)
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._pattern = re.compile("|".join(map(translate, sorted(patterns))), re.IGNORECASE) if patterns else None
        self.version = sha256("\n".join(sorted(patterns)).encode()).hexdigest()[:16] if patterns else "none"

    def holds(self, value: str) -> bool:
        """Whether a value is allowed."""
        return self._pattern is not None and self._pattern.match(value) is not None

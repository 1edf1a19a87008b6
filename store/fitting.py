"""Which texts of an order fit into a bound on what is held at once."""

from collections.abc import Sequence


def fitting(sizes: Sequence[int], most: int) -> list[int]:
    """Return the places that fit: each in turn that does not lift the total above the bound; others are passed over.

    One huge text so costs its own place, and not that of all behind it.

    >>> fitting([3, 900, 4, 4, 2], 10)
    [0, 2, 4]
    """
    total, found = 0, []
    for place, size in enumerate(sizes):
        if total + size <= most:
            total += size
            found.append(place)
    return found

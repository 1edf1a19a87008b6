"""How the report writes text and figures: nothing that an item contains may break the page or hide in it."""

import re

from curate.types import rank_of

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    r"""Replace what a page cannot show by U+FFFD: control characters, lone surrogates, direction overrides.

    Tabs and newlines stay. The result can be encoded as UTF-8; it is not escaped for HTML.

    >>> clean("bell\x07, half a pair \ud83d, line\n")
    'bell�, half a pair �, line\n'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def count(number: int) -> str:
    """Write an integer with thousands separated.

    >>> count(5123)
    '5,123'
    """
    return f"{number:,}"


def percent(share: float) -> str:
    """Write a share in [0, 1] as a percentage.

    >>> percent(0.4312)
    '43.1%'
    """
    return f"{100 * share:.1f}%"


def score(number: float) -> str:
    """Write a score or a correlation with three decimals.

    >>> score(-0.87)
    '-0.870'
    """
    return f"{number:.3f}"


def scored(number: float, *, ranks: bool = False) -> str:
    """Write a selector's score with the word that says what it is: places in an order are ranks.

    >>> scored(0.25), scored(-1_029.0, ranks=True)
    ('score 0.250', 'rank 1,030')
    """
    return f"rank {count(rank_of(number))}" if ranks else f"score {score(number)}"


def seconds(duration: float) -> str:
    """Write a duration in seconds for a person.

    >>> seconds(3.25), seconds(123)
    ('3.2 s', '2 min 3 s')
    """
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"

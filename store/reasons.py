"""Reasons of decisions in few different words, for counts of them."""


def short_reason(column: str) -> str:
    """Return SQL for a reason without what would give nearly every item a line of its own.

    Names of single quality rules and of evaluation items are left out; the report counts rules apart.
    """
    quality = f"regexp_replace({column}, '(^|; )((?:image |event )?quality): [^;]*', '\\1\\2', 'g')"
    return (
        f"regexp_replace({quality}, '(^|; )contamination: [^;]*(?:; contamination: [^;]*)?', '\\1contamination', 'g')"
    )

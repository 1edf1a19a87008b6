"""In which language a text is, as py3langid tells: naive Bayes over byte n-grams, no network.

The published web filters ask fastText's `lid.176`, whose library is no longer kept, and pass a page as English from a
probability of 0.65 on (FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.2). py3langid is langid.py (Lui and
Baldwin, ACL 2012) in the hands of a maintainer; its probabilities are calibrated otherwise, so the bound is a habit
here and no figure that was published for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from curate.errors import MissingExtraError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.65
UNCERTAIN = "cannot be told"
"""What is said of a text whose likeliest language is one of those wanted, but not likely enough."""
_CHARACTERS = 2_000
_MODEL = "data/model.npz.xz"


class Language:
    """Which texts are in other languages than those wanted.

    Args:
        languages: codes of ISO 639 (`en`, `de`, …).
        confidence: the least probability, in [0, 1].

    The first 2,000 characters of a text decide. Texts without letters are uncertain. Cost: about 0.3 µs a byte.

    Raises:
        UnknownNameError: the library does not know a language.
        UsageError: no language, or a confidence outside [0, 1].
        MissingExtraError: py3langid is not installed.
    """

    name = "language"

    def __init__(self, languages: Sequence[str], confidence: float = CONFIDENCE) -> None:
        if not languages:
            raise UsageError("no language is wanted", hint='languages = ["en"]')
        if not 0 <= confidence <= 1:
            raise UsageError(f"the confidence {confidence} does not lie between 0 and 1")
        self._identifier = _identifier()
        self.known: tuple[str, ...] = tuple(self._identifier.labels)
        for language in languages:
            if language not in self.known:
                raise UnknownNameError("language", language, self.known)
        self._wanted, self._confidence = frozenset(languages), confidence
        self.version = (
            f"language:2 py3langid {version('py3langid')} {','.join(sorted(self._wanted))} confidence={confidence:.15g}"
        )

    def identified(self, texts: Sequence[str | None]) -> tuple[list[str], NDArray[np.float64]]:
        """Return the likeliest language of each text and its probability: float64 of shape (texts,)."""
        import numpy as np

        found = [self._identifier.classify((text or "")[:_CHARACTERS]) for text in texts]
        return [language for language, _ in found], np.array([probability for _, probability in found], np.float64)

    def reasons(self, texts: Sequence[str | None]) -> list[tuple[str, ...]]:
        """Return for each text () if it is in a wanted language, else which it is in, or that this is uncertain."""
        return [
            (UNCERTAIN,) if probability < self._confidence else (() if language in self._wanted else (language,))
            for language, probability in zip(*self.identified(texts), strict=True)
        ]


def _identifier() -> Any:
    try:
        from py3langid.langid import LanguageIdentifier
    except ImportError:
        raise MissingExtraError("telling languages apart", "quality") from None
    return LanguageIdentifier.from_model_file(_MODEL, norm_probs=True)

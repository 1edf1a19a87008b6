"""How many tokens a text has: by a simple built-in measure, or by the tokenizer of a model.

Counts are of the text alone: without the special tokens that a model puts around it, never truncated, never padded.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigurationError, MissingExtraError
from curate.types import TOKENIZERS, Tokenizer

Counts = NDArray[np.int64]
_CHARACTERS_AT_ONCE = 1_000_000
_FOLDER_FILE = "tokenizer.json"
_MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def find_tokenizer(name: str, resolve: Callable[[str], Path] = Path) -> Tokenizer:
    """Return the built-in tokenizer of this name, or that of a file `tokenizer.json` or of a folder that holds one.

    `resolve` turns a name into a path. Built in are `characters` (Unicode code points), `words` (runs without white
    space, as `wc -w` counts them) and `bytes` (of UTF-8).

    Raises:
        ConfigurationError: there is no such file, or it holds no tokenizer.
        MissingExtraError: it needs the library tokenizers, which is not installed.
    """
    return MeasuredTokenizer(name) if name in TOKENIZERS else FileTokenizer(resolve(name))


class MeasuredTokenizer:
    """Characters, words or bytes instead of tokens.

    >>> MeasuredTokenizer("words").count(["to be or not", ""])
    array([4, 0])
    """

    def __init__(self, name: str) -> None:
        self.version = f"{name}-1"
        self._measure = _MEASURES[name]

    def count(self, texts: Sequence[str]) -> Counts:
        """Measure each text."""
        return np.fromiter(map(self._measure, texts), np.int64, len(texts))


class FileTokenizer:
    """A model's tokenizer from the file that the library tokenizers writes, usually `tokenizer.json`.

    Its version is the file's name with a hash of its content. Memory: the encodings of a million characters, or of one
    text that is longer.

    Raises:
        ConfigurationError: there is no such file, or it holds no tokenizer.
        MissingExtraError: the library tokenizers is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / _FOLDER_FILE if path.is_dir() else path
        content = self._content()
        self.version = f"{self._path.name} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
        try:
            import tokenizers
        except ImportError:
            raise MissingExtraError(f"the tokenizer {self._path}", "tokens") from None
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises nothing more special
            raise ConfigurationError(
                f"the tokenizer {self._path} is no file of the library tokenizers: {error}",
                hint="it is called tokenizer.json beside a model, and has a model and a pre_tokenizer inside",
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, texts: Sequence[str]) -> Counts:
        """Tokenize the texts.

        Raises:
            ConfigurationError: the tokenizer cannot take one of them.
        """
        counts: list[int] = []
        try:
            for part in _parts(texts):
                encoded = self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
                counts += [len(encoding) for encoding in encoded]
        except Exception as error:  # as above
            raise ConfigurationError(f"the tokenizer {self._path} cannot take a text: {error}") from error
        return np.array(counts, np.int64)

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the tokenizer {self._path} cannot be read: {error.strerror}",
                hint=f"name the path of a tokenizer.json, or one of: {', '.join(TOKENIZERS)}",
            ) from error


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list of texts where a million characters are full."""
    start = characters = 0
    for place, text in enumerate(texts):
        if characters and characters + len(text) > _CHARACTERS_AT_ONCE:
            yield texts[start:place]
            start, characters = place, 0
        characters += len(text)
    yield texts[start:]

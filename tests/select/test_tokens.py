"""Counting tokens: the built-in measures, and a real tokenizer file against the library that wrote it."""

import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from curate.errors import ConfigurationError, MissingExtraError
from curate.select import tokens
from curate.select.tokens import find_tokenizer

TEXTS = ["", "two words", "naïve café\u00a0— ünïcode", "the cat sat on the mat " * 40, "\n a\tb  c\n"]


@pytest.fixture(scope="module")
def library() -> Tokenizer:
    """A small byte-pair tokenizer that would add special tokens and cut at eight tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=120, special_tokens=["[UNK]", "[CLS]"]))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    return tokenizer


@pytest.fixture
def file(library: Tokenizer, tmp_path: Path) -> Path:
    """Its file."""
    library.enable_truncation(8)
    library.enable_padding()
    library.save(str(tmp_path / "tokenizer.json"))
    library.no_truncation()
    library.no_padding()
    return tmp_path / "tokenizer.json"


def test_built_in_measures_are_what_their_names_say() -> None:
    assert find_tokenizer("characters").count(TEXTS[:3]).tolist() == [0, 9, 20]
    assert find_tokenizer("words").count(TEXTS).tolist() == [0, 2, 4, 240, 3]
    assert find_tokenizer("bytes").count(["é—"]).tolist() == [5]


def test_a_file_counts_whole_texts_without_special_tokens(
    library: Tokenizer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [len(library.encode(text, add_special_tokens=False)) for text in TEXTS]
    assert max(expected) > 8
    assert find_tokenizer(str(file)).count(TEXTS).tolist() == expected
    monkeypatch.setattr(tokens, "_CHARACTERS_AT_ONCE", 10)
    assert find_tokenizer("models", lambda _: file.parent).count(TEXTS * 3).tolist() == expected * 3
    assert find_tokenizer(str(file)).count([]).tolist() == []


def test_the_version_tells_contents_apart_and_not_places(file: Path, tmp_path: Path) -> None:
    before = find_tokenizer(str(file)).version
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "tokenizer.json"
    copy.write_bytes(file.read_bytes())
    assert find_tokenizer(str(copy)).version == before
    copy.write_bytes(file.read_bytes() + b"\n")
    assert find_tokenizer(str(copy)).version != before


def test_what_cannot_be_used_is_said(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.json cannot be read: No such file"):
        find_tokenizer("nowhere.json")
    (tmp_path / "broken.json").write_text('{"version": "1.0"}', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"broken\.json is no file of the library tokenizers"):
        find_tokenizer("broken.json", tmp_path.joinpath)
    helpless = Tokenizer(models.WordLevel({"known": 0}, unk_token="[UNK]"))
    helpless.save(str(tmp_path / "helpless.json"))
    with pytest.raises(ConfigurationError, match=r"helpless\.json cannot take a text"):
        find_tokenizer("helpless.json", tmp_path.joinpath).count(["unknown"])
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError) as missing:
        find_tokenizer(str(file))
    assert missing.value.hint == "pip install 'curate[tokens]'"

"""`[[ranking]]` sections that make no sense are refused, with what to write instead."""

from pathlib import Path

import pytest

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings import load_settings
from curate.settings.ranking import in_order

TARGET = '[align]\ntarget = "a"\n'


def ranking(name: str, by: str, more: str = "") -> str:
    return f'[[ranking]]\nname = "{name}"\nby = "{by}"\n{more}\n'


def snapshot(order_by: str) -> str:
    return f'[[snapshot]]\nname = "s"\norder_by = "{order_by}"\n'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (ranking("a", "dsir"), ConfigurationError, r"ranking\[0\].by is 'dsir'; expected: 'importance'"),
        (ranking("a", "importance"), ConfigurationError, "importance needs a target"),
        (ranking("a", "tfidf"), ConfigurationError, "tfidf needs a target"),
        (ranking("a", "length", 'target = "b"'), ConfigurationError, "by 'length' has no target"),
        (ranking("a", "borda", 'of = ["x", "y"]\ncandidates = 3'), ConfigurationError, "by 'borda' has no candidates"),
        (ranking("a", "length") * 2, ConfigurationError, "two rankings are named 'a'"),
        (ranking("a", "borda", 'of = ["x"]'), ConfigurationError, "of two selectors or more"),
        (ranking("a", "borda", 'of = ["x", "x"]'), ConfigurationError, "stands there twice"),
        (ranking("a", "borda", 'of = ["x", "y"]\nweights = { z = 1 }'), UnknownNameError, "unknown selector 'z'"),
        (ranking("a", "borda", 'of = ["x", "y"]\nweights = { x = 0 }'), ConfigurationError, "weights"),
        (ranking("a", "borda", 'of = ["x", "align"]'), UnknownNameError, "unknown selector 'align'"),
        (TARGET + ranking("a", "borda", 'of = ["x", "align:b"]'), UnknownNameError, "unknown selector 'align:b'"),
        (TARGET + ranking("a", "borda", 'of = ["x", "fused"]'), ConfigurationError, "needs candidates and a target"),
        (ranking("a", "borda", 'of = ["x", "mix"]'), ConfigurationError, "made after the rankings"),
        (ranking("a", "entropy-law"), ConfigurationError, "starts from one selector"),
        (ranking("a", "entropy-law", 'of = ["x", "y"]'), ConfigurationError, "starts from one selector"),
        (ranking("a", "entropy-law", 'of = ["ranking:b"]'), UnknownNameError, "unknown selector 'ranking:b'"),
        (ranking("a", "entropy-law", 'of = ["x"]\ncandidates = 9'), ConfigurationError, "1000 cannot be chosen of 9"),
        (ranking("a", "facility-location", 'of = ["x"]'), ConfigurationError, "no encoder makes any"),
        (
            '[embed]\nencoders = ["minilm"]\n' + ranking("a", "facility-location", 'of = ["x"]\nencoder = "clip"'),
            UnknownNameError,
            "unknown encoder 'clip'",
        ),
        (ranking("a", "entropy-law", 'of = ["ranking:a"]'), ConfigurationError, "ranking:a -> ranking:a"),
        (
            ranking("a", "entropy-law", 'of = ["ranking:b"]') + ranking("b", "borda", 'of = ["x", "ranking:a"]'),
            ConfigurationError,
            "ranking:a -> ranking:b -> ranking:a",
        ),
        (snapshot("ranking:a"), UnknownNameError, "unknown selector 'ranking:a'"),
        ('[mix]\nparts = { "ranking:a" = 1 }\n', UnknownNameError, "unknown selector 'ranking:a'"),
        (
            ranking("a", "length") + '[[filter.score]]\nselector = "ranking:a"\nmin = 0.5\n',
            ConfigurationError,
            "cannot filter it",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "curate.toml").write_text(text)
    with pytest.raises(error, match=message):
        load_settings(tmp_path / "curate.toml")


def test_rankings_stand_behind_those_that_they_start_from(tmp_path: Path) -> None:
    text = (
        ranking("c", "entropy-law", 'of = ["ranking:b"]')
        + ranking("b", "borda", 'of = ["ranking:a", "ranking:d"]')
        + ranking("a", "length")
        + ranking("d", "random")
        + snapshot("ranking:c")
    )
    (tmp_path / "curate.toml").write_text(text)
    settings = load_settings(tmp_path / "curate.toml")
    assert [one.name for one in in_order(settings.ranking, "here")] == ["a", "d", "b", "c"]

"""Annotators as the settings describe them: what they would cost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.flows.project import Project
from curate.flows.steps.annotators import ModelAnnotating, annotatings

LLM = """
[[annotator]]
name = "model"
kind = "llm"
attributes = ["kind"]
address = "http://127.0.0.1:9/v1"
model = "nobody"
mode = "{mode}"
prompt_price = 2.0
completion_price = 2.0
"""


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_what_all_items_share_is_estimated_once(
    make_project: Callable[..., Path], open_project: Callable[[Path], Project], mode: str
) -> None:
    project = open_project(make_project(more_settings=LLM.format(mode=mode)))
    _, annotating = annotatings(project)
    assert isinstance(annotating, ModelAnnotating)
    shared = len(annotating._model._way.preparation())
    assert (shared > 0) == (mode == "completion")
    none, one, many = (annotating.estimate(items) for items in (0, 1, 11))
    assert (none.calls, one.calls, many.calls) == (0, 1 + shared, 11 + shared)
    assert one.tokens < many.tokens <= 11 * one.tokens
    assert many.cost == pytest.approx(many.tokens * 2.0 / 1e6)

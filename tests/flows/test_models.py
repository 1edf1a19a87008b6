"""Fitted adapters are listed, taken out in peft's layout and merged into their base model."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curate.errors import ConfigurationError, UnknownNameError, UsageError
from curate.flows.project import Project
from curate.flows.sequence import run_step
from curate.flows.steps import step_named
from curate.flows.steps.models import export_model, merge_model
from curate.settings import load_settings
from curate.types import SilentProgress

QUIET = SilentProgress()
WORDS = ["sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"]
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"

[dedup]
near = false

[[snapshot]]
name = "notes"
splits = { train = 0.7, validation = 0.1, test = 0.2 }

[[adapter]]
name = "style"
snapshot = "notes"
base = "base"
task = "causal-language-model"
parameters = { steps = 6, learning_rate = 0.02 }

[[adapter]]
name = "tokens"
snapshot = "notes"
base = "base"
task = "causal-language-model"
method = "prompt"
options = { num_virtual_tokens = 4 }
parameters = { steps = 2 }
"""


def opened(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A project with fitted adapters, never to be written to."""
    folder = tmp_path_factory.mktemp("fitted") / "project"
    folder.mkdir()
    tiny_models.write_language_model(folder / "base", WORDS)
    chance = random.Random(1)
    lines = [json.dumps({"text": " ".join(chance.choices(WORDS, k=8))}) for _ in range(40)]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "curate.toml").write_text(SETTINGS, encoding="utf-8")
    for name in ("ingest", "snapshot", "train"):
        run_step(opened(folder), step_named(name), QUIET)
    return folder


@pytest.fixture
def folder(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "project"))


def said(model: Any) -> torch.Tensor:
    tokens = torch.arange(3, 11)[None]
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits
    return found


def test_an_adapter_is_taken_out_and_merged(folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32).eval()

    report = export_model(opened(folder), QUIET, "adapter:style", folder / "out")
    assert report.done == 1
    plain = said(PeftModel.from_pretrained(base(), str(folder / "out")).eval())
    assert not torch.equal(plain, said(base()))
    merge_model(opened(folder), QUIET, "adapter:style", folder / "merged", report.details["checkpoint"][:8])
    merged = AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32).eval()
    assert torch.allclose(said(merged), plain, atol=1e-5)
    assert AutoTokenizer.from_pretrained(folder / "merged")("sail anchor")["input_ids"]
    assert not list(folder.glob(".*.half"))


def test_what_cannot_be_taken_out_is_told(folder: Path, tiny_models: Any) -> None:
    project = opened(folder)
    with pytest.raises(UsageError, match="is not empty"):
        export_model(project, QUIET, "adapter:style", folder / "base")
    with pytest.raises(UnknownNameError, match="'styles'"):
        export_model(project, QUIET, "adapter:styles", folder / "out")
    with pytest.raises(UsageError, match="no checkpoint of learner"):
        export_model(project, QUIET, "adapter:style", folder / "out", "zz")
    with pytest.raises(ConfigurationError, match="cannot be merged"):
        merge_model(project, QUIET, "adapter:tokens", folder / "out")
    assert not (folder / "out").exists()
    assert export_model(project, QUIET, "adapter:style", folder / "out", dry=True).done == 0
    assert not (folder / "out").exists()
    tiny_models.write_language_model(folder / "base", WORDS, seed=1)
    with pytest.raises(UsageError, match="as it is now, has no checkpoint yet"):
        export_model(opened(folder), QUIET, "adapter:style", folder / "out")


def test_the_verbs(folder: Path, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def curate(*arguments: str) -> str:
        ended = call(*arguments)
        assert ended.code == 0, ended.err
        return str(ended.out)

    monkeypatch.chdir(folder)
    listed = [json.loads(line) for line in curate("models", "--json").splitlines()]
    assert [row["model"] for row in listed] == ["adapter:style", "adapter:tokens"]
    assert all(row["served"] and row["loss"] > 0 and row["accuracy"] is None for row in listed)
    table = curate("models", "--name", "adapter:style").splitlines()
    assert len(table) == len(curate("models").splitlines()) - 1
    assert listed[0]["checkpoint"][:12] in table[-1]
    assert "models export: 1 done" in curate("models", "export", "adapter:style", "out")
    assert (folder / "out" / "adapter_model.safetensors").exists()
    assert "nothing to do" in curate("models", "merge", "adapter:style", "merged", "--dry-run")
    assert not (folder / "merged").exists()
    assert "train: nothing to do" in curate("train", "style")

"""Base models are loaded from folders, as tensors only, and a fitted adapter goes back into its own base model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from PIL import Image

from curate.errors import ConfigurationError, StoreError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.answers import class_probabilities, text_losses
from curate.learners.adapters.base_models import BaseModel
from curate.learners.adapters.export import merge_adapter
from curate.learners.adapters.inputs import ImageInput, TextInput
from curate.learners.adapters.kept_adapter import adapter_header, adapter_state, load_adapter
from curate.learners.adapters.labelled import LabelledTexts
from curate.learners.adapters.methods import method_named
from curate.learners.adapters.packing import apart
from curate.learners.adapters.tasks import Task
from curate.learners.adapters.texts import TextExamples
from curate.learners.adapters.trainer import mean_loss
from curate.learners.encoders.weights import hash_of_state

WORDS = [f"word{number}" for number in range(20)]


@pytest.fixture
def folder(tiny_models: Any, tmp_path: Path) -> Path:
    return Path(tiny_models.write_language_model(tmp_path / "base", WORDS))


def adapted(network: Any, method: str = "lora", **options: Any) -> Adapted:
    return Adapted(network, method_named(method), Task.CLASSIFY, steps=1, options=options)


def test_a_head_of_chance_depends_on_the_seed_alone(folder: Path) -> None:
    base = BaseModel.at(folder)
    torch.manual_seed(1)
    one = base.network(Task.CLASSIFY, ("a", "b", "c"), seed=7)
    torch.manual_seed(2)
    two = base.network(Task.CLASSIFY, ("a", "b", "c"), seed=7)
    other = base.network(Task.CLASSIFY, ("a", "b", "c"), seed=8)
    hashes = [hash_of_state(each.state_dict()) for each in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert one.config.num_labels == 3
    assert base.known_classes() == ()


def test_a_classifiers_own_classes_are_known(tiny_models: Any, tmp_path: Path) -> None:
    base = BaseModel.at(tiny_models.write_image_classifier(tmp_path / "images"))
    assert base.known_classes() == ("LABEL_0", "LABEL_1")


def test_the_version_is_that_of_all_that_changes_what_it_says(folder: Path) -> None:
    before = BaseModel.at(folder).version
    assert BaseModel.at(folder).version == before
    (folder / "README.md").write_text("changes nothing")
    assert BaseModel.at(folder).version == before
    configuration = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(configuration | {"rms_norm_eps": 1e-3}))
    assert BaseModel.at(folder).version != before


def test_pickles_and_strangers_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no base model at"):
        BaseModel.at(tmp_path / "nowhere")
    (folder / "model.safetensors").rename(tmp_path / "weights")
    with pytest.raises(ConfigurationError, match="has no weights"):
        BaseModel.at(folder)
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"pickles \(pytorch_model.bin\), and loading a pickle runs code"):
        BaseModel.at(folder)


def test_what_cannot_be_loaded_is_told(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        BaseModel.at(folder).network(Task.CAUSAL)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        BaseModel.at(folder).tokenizer()


def test_code_of_its_own_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # transformers asks where it is not told
    configuration = json.loads((folder / "config.json").read_text())
    configuration |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(configuration))
    (folder / "own.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        BaseModel.at(folder).network(Task.CAUSAL)


def test_an_adapter_goes_back_into_its_own_base_model(folder: Path) -> None:
    base = BaseModel.at(folder)
    examples = LabelledTexts([[3, 4, 5], [6, 7]], [0, 1])
    there = adapted(base.network(Task.CLASSIFY, ("a", "b")))
    with torch.no_grad():
        for tensor in there.trained.values():
            tensor.add_(0.1)
    examples.check(there.model, there.method, 0)
    state = adapter_state(there, {"classes": ["a", "b"]})
    assert adapter_header(state)["classes"] == ["a", "b"]
    here = adapted(base.network(Task.CLASSIFY, ("a", "b")))
    assert not np.array_equal(*(class_probabilities(each.model, examples) for each in (here, there)))
    load_adapter(state, here)
    assert np.array_equal(*(class_probabilities(each.model, examples) for each in (here, there)))
    for other, what in (
        (adapted(base.network(Task.CLASSIFY, ("a", "b"), seed=1)), "another base model"),
        (adapted(base.network(Task.CLASSIFY, ("a", "b")), "dora"), "another method"),
        (adapted(base.network(Task.CLASSIFY, ("a", "b")), r=2), "other options"),
    ):
        before = hash_of_state(other.model.state_dict())
        with pytest.raises(ConfigurationError, match=what):
            load_adapter(state, other)
        assert hash_of_state(other.model.state_dict()) == before
    with pytest.raises(StoreError):
        load_adapter(state[:-1], here)


def test_losses_text_by_text_sum_up_to_that_of_all(folder: Path) -> None:
    network = BaseModel.at(folder).network(Task.CAUSAL)
    read = TextInput(BaseModel.at(folder).tokenizer(), ends=True)
    documents = read(["word1 word2 word3", "word4", "strange", " ".join(WORDS)])
    assert [len(each) for each in documents] == [4, 2, 2, 21]
    examples = TextExamples(apart([*documents, [3]], 8))
    losses = text_losses(network, examples, 5)
    assert np.isnan(losses[4])
    assert np.isclose(np.average(losses[:4], weights=[3, 1, 1, 20]), mean_loss(network, examples))


def test_texts_are_cut_and_counted(folder: Path) -> None:
    read = TextInput(BaseModel.at(folder).tokenizer(), ends=False, length=2)
    assert [len(each) for each in read(["word1", "word1 word2 word3"])] == [1, 2]
    assert read([]) == []
    assert read.cut == 1


def test_images_become_what_the_base_model_takes(tiny_models: Any, tmp_path: Path) -> None:
    base = BaseModel.at(tiny_models.write_image_classifier(tmp_path / "images"))
    network = base.network(Task.IMAGES, ("a", "b"))
    Image.new("RGB", (20, 10), "white").save(tmp_path / "white.png")
    white = (tmp_path / "white.png").read_bytes()
    pixels = ImageInput(base.place, network.config)("x", white)
    assert pixels.shape == (1, 8, 8) == ImageInput(base.place, network.config).shape
    assert np.allclose(pixels, 1.0)
    (base.place / "preprocessor_config.json").write_text('{"image_mean": [0.25], "image_std": [0.25], "size": 4}')
    assert np.allclose(ImageInput(base.place, network.config)("x", white), 3.0)
    (base.place / "preprocessor_config.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ImageInput(base.place, network.config)


def write_gguf(file: Path) -> None:
    """Write a language model of one layer with random weights and a byte-pair tokenizer of single letters."""
    letters = list("abcdefghijklmnopqrstuvwxyz")
    tokens = ["<|endoftext|>", *letters, "ab", "Ġ"]
    writer = GGUFWriter(str(file), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, *[1] * (len(tokens) - 1)])
    writer.add_token_merges(["a b"])
    for name in ("bos", "eos"):
        getattr(writer, f"add_{name}_token_id")(0)
    chance = np.random.default_rng(0)
    shapes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32),
              "ffn_gate": (48, 32), "ffn_up": (48, 32), "ffn_down": (32, 48)}  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", chance.normal(size=shape).astype(np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(32, np.float32))
    for name in ("token_embd", "output"):
        writer.add_tensor(f"{name}.weight", chance.normal(size=(len(tokens), 32)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_a_base_model_and_is_merged_with_its_tokenizer(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    base = BaseModel.at(tmp_path / "tiny.gguf")
    network, tokenizer = base.network(Task.CAUSAL), base.tokenizer()
    tokens = tokenizer("cde")["input_ids"]
    assert tokenizer.decode(tokens) == "cde"
    there = Adapted(network, method_named("lora"), Task.CAUSAL, steps=1)
    with torch.no_grad():
        for tensor in there.trained.values():
            tensor.add_(0.1)
        said = there.model(input_ids=torch.tensor([tokens])).logits
        merged = merge_adapter(there.model, tmp_path / "merged", base)
        again = BaseModel.at(merged)
        assert torch.allclose(again.network(Task.CAUSAL)(input_ids=torch.tensor([tokens])).logits, said, atol=1e-4)
    assert again.tokenizer()("cde")["input_ids"] == tokens

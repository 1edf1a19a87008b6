"""Adapters that are fitted to snapshots: their settings, and what of them must fit together."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from curate.settings.promotion import PromotionSettings
from curate.settings.section import NAME_PATTERN, Count, Filled, Name, Section
from curate.types import Modality

AdapterTask = Literal["causal-language-model", "text-classification", "image-classification"]
ADAPTER_PREFIX = "adapter:"
"""Marks an adapter among learners: in the tables, as an annotator, and where one is promoted."""
LEARNER_PATTERN = rf"^({ADAPTER_PREFIX})?{NAME_PATTERN.removeprefix('^')}"
_Value = StrictBool | StrictInt | StrictFloat | str


class AdapterSettings(Section):
    """An adapter of a `base` model, fitted anew to each number of a snapshot by a `method` with its own `options`.

    `base` is a folder as transformers keeps it or a .gguf file. `parameters` are those of a fit: passes, steps,
    batch_size, accumulation, learning_rate (0: the method's own) and others. `length` is that of a block in tokens (0:
    what the base reads, 1,024 at most); a classifier's texts are cut to it (0: none is cut). A fit ends with the step
    that reaches so many `tokens` (0: any number). The loss is looked at on the split `evaluation`.
    """

    name: Name
    snapshot: str
    base: Filled
    task: AdapterTask
    method: Filled = "lora"
    options: dict[str, _Value | list[_Value]] = {}
    parameters: dict[str, StrictInt | StrictFloat] = {}
    length: Annotated[StrictInt, Field(ge=0)] = 0
    tokens: Count = 0
    seed: Count = 0
    evaluation: Literal["validation", "test"] = "validation"
    promotion: PromotionSettings = PromotionSettings()

    @property
    def learner(self) -> str:
        """The name that its rows bear where learners have theirs."""
        return ADAPTER_PREFIX + self.name

    @property
    def modality(self) -> Modality:
        """The modality of the items that it is fitted to."""
        return "image" if self.task == "image-classification" else "text"

    @property
    def classifies(self) -> bool:
        """Whether it tells classes apart, and so needs labels and can annotate."""
        return self.task != "causal-language-model"

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides how the weights come out, beside base model and snapshot."""
        looking = {"checkpoint_every", "kept", "evaluate_every"}
        parameters = {name: value for name, value in self.parameters.items() if name not in looking}
        own = {"task", "method", "options", "length", "tokens", "seed"}
        return {**self.model_dump(mode="json", include=own), "parameters": parameters}

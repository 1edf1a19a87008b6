"""The settings of subpopulation discovery."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from curate.settings.section import Amount, Count, Filled, Name, Names, Seconds, Section, Share

DISCOVER = "discover"
"""The annotator whose claims assignments are."""
Positive = Annotated[StrictInt, Field(ge=1)]


class DiscoverSettings(Section):
    """What is hidden in the items: dimensions in which they differ, and who has which attribute.

    A chat model at an OpenAI-compatible `address` is asked ("" = the embedded one, of which little can be expected). It
    sees texts, and images by the claims about the attribute `caption`; `of_class` is the attribute whose value is an
    item's class. The structure is called `name`, and written to the file `structure` for a person to edit.

    Found in `sample` items: at most so many `dimensions`, besides or with those of `pin`, of at most so many
    `attributes`. The model then assigns so many items (`assigned`, 0 = all); from these a classifier on the features of
    `encoder` learns to assign the others, and decides where it agrees with the model with at least the probability
    `agreement`; elsewhere the model is asked.

    With `wanted`, each class and attribute that fewer items have is a request for more, in the file `requests`.
    """

    enabled: StrictBool = False
    name: Name = "subpopulations"
    structure: Filled = "subpopulations.toml"
    of_class: str = ""
    caption: str = ""
    address: str = ""
    model: str = ""
    key_variable: str = "CURATE_LLM_KEY"
    concurrency: Positive = 4
    timeout: Seconds = 60.0
    prompt_price: Amount = 0.0
    completion_price: Amount = 0.0
    sample: Annotated[StrictInt, Field(ge=4)] = 200
    dimensions: Positive = 5
    attributes: Positive = 10
    pin: Names = ()
    rounds: Count = 8
    captions: Positive = 16
    votes: Positive = 3
    answers: Positive = 1
    temperature: Annotated[StrictFloat, Field(ge=0, le=2)] = 0.7
    characters: Positive = 600
    seed: Count = 0
    assigned: Count = 200
    encoder: Filled = "hashed-ngrams:1024"
    agreement: Share = 0.9
    wanted: Count = 0
    requests: Filled = "acquisition-requests.jsonl"

    def names(self, attribute: str) -> bool:
        """Whether an attribute is one of the structure's, as far as that can be told before anything is found."""
        return attribute == self.name or attribute.startswith(f"{self.name}.")

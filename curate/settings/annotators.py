"""The settings of annotators, one class for each kind."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StringConstraints

from curate.settings.adapters import LEARNER_PATTERN
from curate.settings.section import Amount, Count, Filled, Name, Names, Seconds, Section, Share, distinct


class RuleSettings(Section):
    """A text that matches the regular expression `pattern` has this value of the attribute; or a `function` says which.

    A function is Python's, "module:function"; a module of that name in the project's folder goes before an installed
    one. Its `version` is its source text, unless one is given here.
    """

    attribute: str
    value: str = ""
    pattern: str = ""
    function: str = ""
    version: str = ""


class RuleAnnotatorSettings(Section):
    """An annotator that answers by regular expressions and Python functions.

    Where rules of one attribute disagree about an item, `conflicts` decides: the first that matches, or the majority.
    """

    name: Name
    kind: Literal["rule"] = "rule"
    attributes: Names = ()
    rules: tuple[RuleSettings, ...] = Field(min_length=1)
    conflicts: Literal["first", "majority"] = "first"


class ExampleSettings(Section):
    """A text with its right answers, shown to a language model before it is asked.

    An answer is attribute = value, or attribute = [values] where it takes several.
    """

    text: str = Field(min_length=1)
    answers: dict[str, str | tuple[str, ...]] = Field(min_length=1)


class LLMAnnotatorSettings(Section):
    """An annotator that asks a language model at an OpenAI-compatible `address`; "" means the embedded model.

    `mode` is "chat" for models with a chat template, "completion" for base models (the embedded one is always asked in
    that way); the first `excerpt_characters` of a text are shown. Chat models that take images are shown those, too,
    where `modalities` name them, at most `image_side` pixels wide and high.
    Besides the `examples` that are written down, it is shown so many `examples_from_people`: texts that people answered
    and that no audit may come from, unlike each other or typical.
    `sample` bounds the number of items (0 = all); prices are per million tokens and serve the plan and [spending]. No
    minute has more requests or tokens than are allowed (0 = any number). It abstains where less sure than `least`.
    The key to the service is read from the environment variable `key_variable`, never from the file.
    """

    name: Name
    kind: Literal["llm"] = "llm"
    attributes: Names = ()
    address: str = ""
    model: str = ""
    key_variable: str = "CURATE_LLM_KEY"
    mode: Literal["chat", "completion"] = "chat"
    examples: tuple[ExampleSettings, ...] = ()
    examples_from_people: Annotated[StrictInt, Field(ge=0, le=256)] = 0
    examples_choice: Literal["diverse", "typical"] = "diverse"
    excerpt_characters: Annotated[StrictInt, Field(ge=1)] = 600
    modalities: Annotated[tuple[Literal["text", "image"], ...], Field(min_length=1), AfterValidator(distinct)] = (
        "text",
    )
    image_side: Annotated[StrictInt, Field(ge=32, le=8192)] = 768
    sample: Count = 0
    concurrency: Annotated[StrictInt, Field(ge=1)] = 4
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    timeout: Seconds = 60.0
    prompt_price: Amount = 0.0
    completion_price: Amount = 0.0
    least: Share = 0.0


class ClipAnnotatorSettings(Section):
    """An annotator that asks an open_clip `model` which value's prompts an image is nearest to.

    The model is a folder with open_clip_config.json, or MODEL/WEIGHTS as open_clip names them. Every value is put into
    the `templates` ({value}, {description}; none = the usual ones), or has `prompts` of its own (by attribute and
    value). Where no value is as probable as `least`, it abstains.
    """

    name: Name
    kind: Literal["clip"] = "clip"
    attributes: Names = ()
    model: Filled
    templates: Names = ()
    prompts: dict[str, dict[str, Annotated[Names, Field(min_length=1)]]] = {}
    least: Share = 0.0


class CaptionAnnotatorSettings(Section):
    """An annotator that lets a CoCa `model` of open_clip write captions, up to so many `tokens`, about images.

    They become values of `attribute`, which the protocol does not ask; it abstains where its words were on average less
    probable to it than `least`. The model is named as that of `clip` is.
    """

    name: Name
    kind: Literal["caption"] = "caption"
    model: Filled
    attribute: Filled = "caption"
    tokens: Annotated[StrictInt, Field(ge=1)] = 30
    least: Share = 0.0

    @property
    def attributes(self) -> tuple[str, ...]:
        """None of the protocol's."""
        return ()


class LearnerAnnotatorSettings(Section):
    """An annotator that claims what the served checkpoint of a `[[learner]]`, or of `adapter:NAME`, finds likeliest.

    It answers the attribute that is the label of the learner's snapshot, about items of its modality. Where nothing is
    as probable as `least`, it abstains. Every new checkpoint is asked about all items `again`, or about those
    only that no checkpoint was asked about.
    """

    name: Name
    kind: Literal["learner"] = "learner"
    learner: Annotated[str, StringConstraints(pattern=LEARNER_PATTERN)]
    least: Share = 0.0
    again: StrictBool = True


AnnotatorSettings = Annotated[
    RuleAnnotatorSettings
    | LLMAnnotatorSettings
    | ClipAnnotatorSettings
    | CaptionAnnotatorSettings
    | LearnerAnnotatorSettings,
    Field(discriminator="kind"),
]
KINDS = ("rule", "llm", "clip", "caption", "learner")

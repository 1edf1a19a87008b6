"""What a network that is fitted does with its input."""

from enum import StrEnum


class Task(StrEnum):
    """What the network does; the values are those of `peft`, which has none for images."""

    CAUSAL = "CAUSAL_LM"
    CLASSIFY = "SEQ_CLS"
    IMAGES = "IMAGES"

"""The settings of what is encoded ahead."""

from curate.settings.section import Names, Section


class EmbedSettings(Section):
    """Encoders by whose features every item is kept, such as "minilm" or "clip-image:models/clip" (none = no item).

    What learners need they keep by themselves; this is for whoever wants the features of all items.
    """

    encoders: Names = ()

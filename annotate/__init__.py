"""Who claims what about an item: the label protocol and the annotators that answer it."""

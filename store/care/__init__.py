"""Care of a store: what is garbage, whether it is sound, copies of it, and the erasure of items."""

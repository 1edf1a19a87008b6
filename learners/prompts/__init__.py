"""Prompt pools: small learned components beside a frozen transformer, picked for each item by its query."""

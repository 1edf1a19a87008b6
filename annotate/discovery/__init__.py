"""Subpopulation discovery: dimensions and their attributes found in texts by a language model, and who has which."""

"""The command `curate`: a group of verbs, each imported when it is called, so that `curate --help` stays quick."""

from curate.cli.application import main

__all__ = ["main"]

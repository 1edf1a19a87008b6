"""Annotators as the settings describe them, joined to the store's request journal."""

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyarrow as pa

from curate.annotate.protocol import Protocol
from curate.annotate.rule import RuleAnnotator, rule_from_mapping
from curate.flows.project import Project
from curate.settings import LLMAnnotatorSettings
from curate.store.journal import Journal, StoredRequests, stored_response
from curate.store.write import rows
from curate.types import Annotator

"""Shards on many machines: the flow `align_shards` scores each shard as a task of Ray, through Prefect's task runner.

What passes between machines are addresses and file names, never texts. The steps themselves are plain functions in
`curate.flows.steps.shards`, and give the same result in one process.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from curate.flows.steps.shards import ShardScoring, list_shards, merge_shards, score_shard
from curate.store.ingestion.source_file import SourceFile


@task(cache_policy=NO_CACHE, persist_result=False)
def score_one(shard: SourceFile, scoring: dict[str, Any]) -> tuple[str, str]:
    """Score one shard wherever this task was sent; return the path of its best texts and the node that scored it."""
    return score_shard(shard, ShardScoring(**scoring)), _node()


@flow(name="align-shards", persist_result=False, validate_parameters=False)
def align_shards(address: str, scoring: dict[str, Any], to: str) -> dict[str, Any]:
    """Score every shard at `address` and write the best of all to the file `to`; see `ShardScoring` for the rest.

    Returns the figures of `ShardFigures`.
    """
    asked = ShardScoring(**scoring)
    futures = [score_one.submit(shard, scoring) for shard in list_shards(address, asked)]
    results = [future.result() for future in futures]
    figures = merge_shards([path for path, _ in results], asked.top, Path(to))
    return {**asdict(figures), "nodes": len({node for _, node in results})}


def _node() -> str:
    """The id of the Ray node that this runs on; outside of Ray, the machine's name."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return str(ray.get_runtime_context().get_node_id())
    return socket.gethostname()

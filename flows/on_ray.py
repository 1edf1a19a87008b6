"""Runs flows on a Ray cluster, with a Prefect server of their own where none is configured."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from curate.errors import MissingExtraError, ServiceError
from curate.flows.prefect_server import prefect_server
from curate.flows.steps.shards import ShardFigures, ShardScoring

LOG = "prefect-server.log"
HERE = "local"
_DRAIN_SECONDS = 10.0


def align_shards_on_ray(address: str, scoring: ShardScoring, to: Path, cluster: str = HERE) -> ShardFigures:
    """Score the shards at `address` on the Ray cluster `cluster` and write the best of all to `to`.

    `cluster` is `host:port` or `ray://host:port`; "local" starts a cluster on this machine that ends with the call.
    Every node needs curate in the same version, and must reach the shards, the target, `scoring.folder` and Prefect's
    API (of a server of one's own where `PREFECT_API_URL` names it; the one that is started here listens on loopback and
    suits nodes of this machine only).

    Raises:
        MissingExtraError: Ray or Prefect's task runner for it is not installed.
        ServiceError: the cluster cannot be reached.
        BadDataError: there is no shard, or no target.
    """
    if find_spec("prefect_ray") is None:
        raise MissingExtraError("scoring on Ray", "ray")
    with prefect_server(Path(scoring.folder) / LOG):
        from prefect_ray import RayTaskRunner

        from curate.flows.shards import align_shards

        options = {"log_to_driver": False}
        runner = RayTaskRunner(address=None if cluster == HERE else cluster, init_kwargs=options)
        try:
            return ShardFigures(**align_shards.with_options(task_runner=runner)(address, asdict(scoring), str(to)))
        except ConnectionError as error:
            unchanged = "what was scored before is kept, and not scored again"
            raise ServiceError(f"no Ray cluster answers at {cluster}: {error}", unchanged=unchanged) from error
        finally:
            _send_what_is_left()


def _send_what_is_left() -> None:
    """Let Prefect send its logs and events while its server is there; at exit it would try for a minute."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_DRAIN_SECONDS)

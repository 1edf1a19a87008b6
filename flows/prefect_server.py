"""A Prefect server on loopback for as long as this process schedules, where no other server is configured.

Prefect's own temporary server runs no scheduler, so a deployment's cron would never fire on it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from curate.errors import ServiceError

ADDRESS_VARIABLE = "PREFECT_API_URL"
START_SECONDS = 180.0
_PAUSE = 0.5


@contextmanager
def prefect_server(log: Path) -> Iterator[str]:
    """Yield the address of Prefect's API: the configured one, or that of a server started here and stopped at the end.

    The server's output goes to `log`. Must be entered before anything imports Prefect, which reads the address then.

    Raises:
        ServiceError: the server did not answer within `START_SECONDS`.
    """
    if configured := os.environ.get(ADDRESS_VARIABLE):
        yield configured
        return
    port = _free_port()
    address = f"http://127.0.0.1:{port}/api"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = _start(port, output.fileno())
    try:
        _wait(address, process, log)
        os.environ[ADDRESS_VARIABLE] = address
        yield address
    finally:
        os.environ.pop(ADDRESS_VARIABLE, None)
        process.terminate()
        process.wait()


def _start(port: int, output: int) -> "subprocess.Popen[bytes]":
    # The child watches its parent, so that a killed `curate serve` leaves no server behind.
    program = (
        "import os, sys, threading, time\n"
        "parent = os.getppid()\n"
        "def watch():\n"
        "    while os.getppid() == parent: time.sleep(1)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "import uvicorn\n"
        "from prefect.server.api.server import create_app\n"
        "uvicorn.run(create_app(final=True), host='127.0.0.1', port=int(sys.argv[1]), log_level='warning')\n"
    )
    environment = {**os.environ, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(port)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{address}/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(_PAUSE)
    raise ServiceError(
        "Prefect's server did not start",
        unchanged="the store",
        hint=f"look into {log}, or set {ADDRESS_VARIABLE} to a server that runs",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

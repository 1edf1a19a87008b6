"""A real PostgreSQL server for the tests, in a temporary folder and on loopback, started as somebody who is not root.

`with PostgresServer() as server: … server.create_database() … server.password`. Needs the programs of PostgreSQL (on
Debian the package `postgresql`), and none of its services.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Self

_USER = "curate"


def find_programs() -> Path | None:
    """Return the folder with PostgreSQL's programs, the newest; None where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class PostgresServer:
    """The server: starts when entered, stops when left; every database is a new one."""

    password = "not-to-be-shown"

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._numbers = count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="curate-postgres-"))
        self.port = _free_port()

    def __enter__(self) -> Self:
        """Make the cluster and start the server."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, "nobody")
        data = self.folder / "data"
        try:
            self._run(
                "initdb", "-D", data, "-U", _USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-N", "-E", "UTF8"
            )
            settings = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off -c unix_socket_directories="
            self._run("pg_ctl", "-D", data, "-w", "-l", self.folder / "log", "-o", settings, "start")
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self.folder)
            raise RuntimeError(f"PostgreSQL does not start: {error.stdout}") from error
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop the server and remove its folder."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, template: str = "template1") -> str:
        """Make a database, empty or a copy of another, and return how libpq reaches it, without the password."""
        name = f"lake_{next(self._numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.address(name)

    def address(self, database: str) -> str:
        """Return how libpq reaches a database."""
        return f"dbname={database} host=127.0.0.1 port={self.port} user={_USER}"

    def execute(self, database: str, statement: str) -> str:
        """Run a statement as the server's own client does, and return what it prints."""
        command = [self._programs / "psql", "-X", "-q", "-A", "-t", "-d", self.address(database), "-c", statement]
        environment = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def dump(self, database: str) -> str:
        """Return all that a database holds, as text."""
        command = [self._programs / "pg_dump", "-d", self.address(database)]
        environment = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        # A pipe would be inherited by the server, and never end.
        with (self.folder.parent / f"{self.folder.name}.out").open("w+") as output:
            done = subprocess.run(command, cwd="/", stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            output.seek(0)
            said = output.read()
        Path(output.name).unlink()
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, said)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

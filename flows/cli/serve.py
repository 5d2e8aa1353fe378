"""The commands that start and stop a Prefect server and a worker: `headstart up` and `down`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands

_UP = """\
Start a Prefect server on 127.0.0.1, a work pool, the deployments of prefect.yaml and a worker for this project, and print the address of
the UI. They run on until `headstart down`. Called again, it starts what died, and registers deployments that changed. From then on
`headstart run` in this project talks to that server. Several projects may share the server of one of them.
"""

_UP_EXAMPLES = """\
examples:
  headstart up
  headstart up --port 4300                            # beside another project's server
  headstart up --join ../beans                        # with the server of that project; worker and deployments are this one's
"""

_DOWN = """\
Stop the worker, then the server; a server that is another project's stays. Refused (exit code 4) while a flow run is running. Runs that
wait, and schedules, go on after the next `headstart up`.
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    up = commands.add("up", _up, help="start a Prefect server and a worker", description=_UP, epilog=_UP_EXAMPLES)
    where = up.add_mutually_exclusive_group()
    where.add_argument("--port", metavar="N", type=int, default=4200, help="port of a new server (default: %(default)s)")
    where.add_argument("--join", metavar="DIR", type=Path, help="share the server that is up in another project")

    down = commands.add("down", _down, help="stop them", description=_DOWN)
    down.add_argument("--force", action="store_true", help="end flow runs that are running; what they completed stays")


def _up(options: argparse.Namespace) -> int:
    from flows.server import operate, servers

    common.in_project()
    servers.own()
    print("starting Prefect", file=sys.stderr, flush=True)
    print(operate.up(options.port, options.join))
    return 0


def _down(options: argparse.Namespace) -> int:
    from flows.server import operate, servers

    common.in_project()
    servers.own()
    print(operate.down(options.force))
    return 0

"""Several projects on one machine: whose server is on a port, and how one shares that of another."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from pathlib import Path

from flows.server import servers
from headstart.machinery.errors import HeadstartError


def listening(port: int) -> socket.socket:
    """A socket that listens on this port of 127.0.0.1 if nobody does, else on any that is free. Whoever asks there waits until it is served."""
    for wanted in (port, 0):
        with contextlib.suppress(OSError, OverflowError):
            return socket.create_server(("127.0.0.1", wanted))
    raise HeadstartError("no port of 127.0.0.1 is free")


def free(port: int) -> None:
    """Raise HeadstartError, which says who it is, if somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server that has just ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if other := project_at(port):
                raise HeadstartError(
                    f"port {port} of 127.0.0.1 is taken by the Prefect server of the project {other}; share it with "
                    f"`headstart up --join {other}`, or have a server of your own on another port with --port"
                ) from None
            raise HeadstartError(
                f"port {port} of 127.0.0.1 is taken by another program ({error.strerror}); give another one with --port, "
                "or name the Prefect server that listens there with PREFECT_API_URL and start a worker of its own"
            ) from None


def project_at(port: int) -> Path | None:
    """The folder of the project whose Prefect server listens on a port; None if there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{servers.address(port)}/admin/settings", timeout=5) as answer:
            home = Path(json.load(answer)["home"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return home.parents[1] if home.parts[-2:] == servers.HOME.parts else None


def joined(state: servers.State, folder: Path) -> servers.State:
    """The state of this project from now on, if it is to share the server of the project in `folder`.

    Nothing is started or written.

    Raises HeadstartError if that has no server, or if this project has one.
    """
    theirs = servers.standing(folder)
    owner = str(Path(theirs.get("joined", folder)).resolve())
    if owner == str(Path.cwd()):
        raise HeadstartError(f"--join {folder}: that is the server of this very project; leave --join out")
    if servers.alive(state.get("server")) and state.get("joined") != owner:
        raise HeadstartError(
            f"this project has a server already, on port {state['port']}; `headstart down` first, then `headstart up --join {folder}`"
        )
    if not servers.alive(theirs.get("server")):
        raise HeadstartError(f"no Prefect server is up in {folder}: `headstart up` there first")
    return {**state, "joined": owner, "port": theirs["port"], "server": theirs["server"]}


def refuse_absent(state: servers.State) -> None:
    """Raise HeadstartError if the server that this project shares is not up.

    Only its own project starts it.
    """
    if not servers.alive(state.get("server")):
        raise HeadstartError(
            f"the Prefect server of {state['joined']}, which this project shares, is not up: `headstart up` there first; "
            "or `headstart down` here, and the next `headstart up` starts a server of your own"
        )

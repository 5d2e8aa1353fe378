"""Why a stage stopped: the note that it leaves for the flow that started it.

It is in .headstart/failure.json. dvc is between the two, so this note and an exit code are all that the flow learns of the error.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypedDict

from headstart.machinery import system
from headstart.machinery.errors import BusyError, DataError, HeadstartError, ParamsError

# Kinds of errors that may be over after a while: of the network, and of memory that others use too. By name, since their libraries are not
# imported here.
_PASSING = re.compile(
    r"MemoryError|\w*OutOfMemoryError|ConnectionError|Connection\w+Error|\w*Timeout(Error)?|URLError|HTTPError|SSLError|gaierror"
)


class Failure(TypedDict):
    """What is noted. JSON types only."""

    stage: str
    exit_code: int
    message: str
    error: str  # the name of its type
    may_pass: bool  # whether the same stage may succeed a while later


def of(stage: str, error: Exception) -> Failure:
    """The note of an error that ended a stage.

    An error that is no HeadstartError is named in its message, and has exit code 1.
    """
    kind = type(error).__name__
    if isinstance(error, HeadstartError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, OSError) and (said := system.words(error)):
        code, message = HeadstartError.exit_code, f"stage {stage} failed: {said}"
    else:
        code, message = HeadstartError.exit_code, f"stage {stage} failed with {kind}: {error}"
    return {"stage": stage, "exit_code": code, "message": message, "error": kind, "may_pass": may_pass(error)}


def may_pass(error: Exception) -> bool:
    """Whether what failed may be over after a while.

    What was wrong with parameters or data stays wrong until somebody mends it.
    """
    if isinstance(error, (ParamsError, DataError, BusyError)):
        return False
    said = "out of memory" in str(error)  # libraries of GPUs have no type of their own for it
    return said or _PASSING.fullmatch(type(error).__name__) is not None


def read(path: Path) -> Failure | None:
    """The note in a file; None if there is none, or something else."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return {
            "stage": str(noted["stage"]),
            "exit_code": int(noted["exit_code"]),
            "message": str(noted["message"]),
            "error": str(noted["error"]),
            "may_pass": bool(noted["may_pass"]),
        }
    except (OSError, ValueError, LookupError, TypeError):
        return None

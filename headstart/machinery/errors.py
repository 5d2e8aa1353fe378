"""The errors a user can cause and mend. Each kind has the exit code that scripts rely on.

Raise them with a message that says what was wrong, where, and what to do; the front doors print it without a traceback.
"""

from collections.abc import Iterable

Row = tuple[str, str, int, str]  # the path of a file, its label, its line in the label file (0: none), what is wrong


class HeadstartError(Exception):
    """Something failed for a reason the message explains. Exit code 1."""

    exit_code = 1
    may_pass = False  # whether it may be over after a while, so that trying again makes sense (headstart/machinery/failure.py)


class ParamsError(HeadstartError):
    """A parameter or an argument is wrong. Exit code 2."""

    exit_code = 2


class DataError(HeadstartError):
    """The data was refused. Exit code 3. `rows` is the whole list of what is at fault, of which the message names some."""

    exit_code = 3

    def __init__(self, message: str = "", rows: Iterable[Row] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class BusyError(HeadstartError):
    """Another run holds this workspace. Exit code 4."""

    exit_code = 4

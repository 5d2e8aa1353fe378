"""The errors a user can cause and mend. Each kind has the exit code that scripts rely on.

Raise them with a message that says what was wrong, where, and what to do; the front doors print it without a traceback.
"""


class HeadstartError(Exception):
    """Something failed for a reason the message explains. Exit code 1."""

    exit_code = 1
    may_pass = False  # whether it may be over after a while, so that trying again makes sense (headstart/machinery/failure.py)


class ParamsError(HeadstartError):
    """A parameter or an argument is wrong. Exit code 2."""

    exit_code = 2


class DataError(HeadstartError):
    """The data was refused. Exit code 3."""

    exit_code = 3


class BusyError(HeadstartError):
    """Another run holds this workspace. Exit code 4."""

    exit_code = 4

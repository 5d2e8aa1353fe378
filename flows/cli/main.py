"""The command line: `headstart COMMAND`. Answers on standard output, progress on standard error.

Each command imports what it needs when it runs, so that `headstart show` pays for neither Prefect nor PyTorch. The commands register
themselves,
a file per group of GROUPS.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from flows.cli import data, ending, export, history, predict, projects, review, run, serve, shard, sources
from flows.cli.common import Commands
from headstart.machinery import system, terminal
from headstart.machinery.errors import HeadstartError

GROUPS = (projects, data, shard, run, review, predict, export, sources, history, serve)

_OVERVIEW = """\
Give it a folder of labelled images; it picks the best pretrained source model, checks the data, trains a head, fine-tunes,
and leaves a versioned model and a report. Run it from the root of a project.

  headstart new beans            # a project, in a folder of its own
  headstart import photos/       # photos/<class>/<file>
  headstart run                  # every stage whose inputs changed
  headstart show                 # the result; `headstart report` opens the page
  headstart review               # labels that look wrong, to confirm or correct
  headstart predict new/*.jpg    # with the model it made
"""

_EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 usage or parameters, 3 data refused, 4 workspace busy, 130 interrupted."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if argv is None:
        system.read_names_as_utf8()
    with terminal.plain_streams():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    options, unknown = parser().parse_known_args(argv)
    if unknown:  # said by the command's own parser, whose usage helps
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with ending.sigterm_interrupts(certainly=argv is None):
            code: int = options.command(options)
            sys.stdout.flush()
        return code
    except KeyboardInterrupt as interrupt:
        if argv is not None or ending.first():  # unless the watch has said it
            print(str(interrupt) or "interrupted", file=sys.stderr)
        return ending.INTERRUPTED
    except BrokenPipeError:  # `headstart predict ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {_message(error)}", file=sys.stderr)
        return error.exit_code if isinstance(error, HeadstartError) else 1


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    layout = argparse.RawDescriptionHelpFormatter
    root = argparse.ArgumentParser("headstart", description=_OVERVIEW, epilog=_EXIT_CODES, formatter_class=layout)
    commands = Commands(root)
    for group in GROUPS:
        group.register(commands)
    return root


def _message(error: Exception) -> str:
    if isinstance(error, HeadstartError):
        return str(error)
    if isinstance(error, OSError) and (said := system.words(error)):
        return said
    return f"{type(error).__name__}: {error} (HEADSTART_DEBUG=1 shows where)"


if __name__ == "__main__":
    sys.exit(main())

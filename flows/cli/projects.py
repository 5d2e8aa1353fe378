"""Commands new, upgrade: a project, and its code after an update of the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands

_NEW = """\
Make a project in DIR: params.yaml, dvc.yaml, prefect.yaml and a README, with git and DVC set up. The installed package
serves it, so that a further data set needs neither a clone nor an environment of its own. DIR must be empty or not there
yet; inside a git repository it becomes a part of that.
"""

_NEW_EXAMPLES = """\
examples:
  headstart new beans
  headstart new ../beans-2025 --name beans
"""

_UPGRADE = """\
After the package was updated: bring code.yaml, dvc.yaml and prefect.yaml of this project up to date, and say which stages
run again. What you changed in dvc.yaml or prefect.yaml stays, and the new file is put into .headstart/upgrade/ for
comparison. Until then stages refuse to run, as their results would be recorded as made by other code.
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    new = commands.add("new", _new, help="make a project", description=_NEW, epilog=_NEW_EXAMPLES)
    new.add_argument("folder", metavar="DIR", type=Path, help="where the project is to lie")
    new.add_argument("--name", help="name of the project, which its deployments carry (default: that of DIR)")

    upgrade = commands.add("upgrade", _upgrade, help="after an update of the package", description=_UPGRADE)
    upgrade.add_argument("--dry-run", action="store_true", dest="dry", help="only say what would change and run again")


def _new(options: argparse.Namespace) -> int:
    from flows.projects import new as new_module

    print(new_module.new(options.folder, options.name))
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    from flows.projects import upgrade as upgrade_module
    from headstart.machinery import lock

    common.in_project()
    with lock.hold("headstart upgrade"):
        print(upgrade_module.upgrade(dry=options.dry))
    return 0

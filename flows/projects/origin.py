"""Where the images on record came from, and how: in data/images.dvc, in the part that DVC leaves to us."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.base import outputs
from headstart.machinery.errors import DataError

if TYPE_CHECKING:
    from headstart.importing.options import Options


def load(record: Path) -> dict[str, Any]:
    """A data/images.dvc as it is. Raises DataError if it is no such file, and gives {} if there is none."""
    from ruamel.yaml import YAML, YAMLError

    try:
        content = YAML(typ="safe").load(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{record} is not what DVC writes ({error}); get it back from git, or import the images again") from None
    return content if isinstance(content, dict) else {}


def imported(record: Path) -> dict[str, Any]:
    """What `note` wrote into a data/images.dvc; {} if there is nothing. Raises DataError as `load` does."""
    known = (load(record).get("meta") or {}).get("headstart")
    return known if isinstance(known, dict) else {}


def note(record: Path, source: str, labels: Path | None, how: Options | None, version: str | None, batch: str) -> None:
    """Write into data/images.dvc, in the part that DVC leaves to us, where the images came from, and how."""
    from ruamel.yaml import YAML

    yaml = YAML()
    content = yaml.load(record.read_text(encoding="utf-8"))
    origin: dict[str, object] = {
        "source": source,
        **({"labels": str(labels)} if labels else {}),
        "version": version,
        **({"batch": batch} if batch else {}),
    }
    if how and (options := how.to_json()):
        origin["options"] = options
    content.setdefault("meta", {})["headstart"] = origin
    with outputs.whole(record) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)

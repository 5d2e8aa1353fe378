"""Check the indexed images and keep the usable ones: python -m tasks.validate_data"""

from __future__ import annotations

import sys
from pathlib import Path

from headstart.base import outputs
from headstart.checks import validation
from headstart.checks.expectations import Limits
from headstart.data import manifest as manifests
from headstart.params import ValidateData
from tasks import stage


def validate_data(
    manifest: Path = Path("data/manifest.parquet"),
    target: Path = Path("data/target.parquet"),
    clean: Path = Path("data/clean.parquet"),
    out: Path = Path("reports/validation.json"),
    lists: Path = Path("reports/validation"),
    *,
    block: ValidateData,
) -> None:
    """Write the result of every check and lists of all files at fault, then, if nothing critical failed, the usable rows.

    Raises DataError that names the critical failures, after the result is written and with no `clean` left behind.
    """
    frame = manifests.read(manifest)
    result, found = validation.validate_all(
        frame, manifests.read(target), Limits(block.min_images_per_class, block.max_unreadable_share, block.max_imbalance, block.min_side)
    )
    outputs.write_json(out, result)
    validation.write_lists(found, lists)
    if not result["success"]:
        clean.unlink(missing_ok=True)  # rows of an earlier run would pass for checked ones
    validation.refuse(result, str(lists))
    manifests.write(frame[frame["readable"]].reset_index(drop=True), clean)
    for warning in result["warnings"]:
        print(f"warning: {warning['message']}", file=sys.stderr)


if __name__ == "__main__":
    stage.run(validate_data)

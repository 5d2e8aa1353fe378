"""What `headstart sources` says: a table of the sources that can be used, and a remark."""

from __future__ import annotations

from collections.abc import Iterator

from flows.results.table import aligned
from headstart.machinery.errors import ParamsError
from headstart.networks import catalogue
from headstart.networks.catalogue import Entry

_HEADINGS = ("NAME", "PARAMETERS", "GFLOPS", "INPUT", "IMAGENET", "LICENCE", "DOWNLOAD", "HERE")
_WORDS = {"NAME", "LICENCE", "HERE"}  # the others are numbers, aligned to the right


def find(
    patterns: list[str],
    *,
    max_parameters: float | None = None,
    max_gflops: float | None = None,
    licences: list[str] | None = None,
    here: bool = False,
    all_figures: bool = False,
) -> tuple[list[Entry], str]:
    """The entries that patterns and bounds leave, and a remark about them.

    `max_parameters` is in millions, `max_gflops` for one image. `here` leaves what is on this machine, and `all_figures` counts figures
    for however many are left. Raises ParamsError for a pattern that matches nothing.
    """
    try:
        every = catalogue.entries(patterns)
    except ParamsError as error:  # names of candidates are the same wherever they are written
        raise ParamsError(str(error).removeprefix("select_source.candidates: ")) from None
    absent = {entry.name: "not here" for entry in every if here and not entry.here}
    found = [entry for entry in every if entry.here or not here]
    found, outside = catalogue.within(found, max_parameters=max_parameters, max_gflops=max_gflops, licences=licences)
    if not found:
        return [], f"none of {len(every):,} sources is left: {catalogue.tally(absent | outside)}"
    counted = all_figures or len(found) <= catalogue.FEW
    found = catalogue.count(found, gflops=True) if counted else catalogue.known(found)
    return found, "; ".join(_remarks(found, counted))


def table(found: list[Entry]) -> str:
    """The entries, a line each, under headings."""
    numbers = [column for column, heading in enumerate(_HEADINGS) if heading not in _WORDS]
    return aligned([_HEADINGS, *(_row(entry) for entry in found)], right=numbers)


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name,
        "-" if entry.parameters is None else f"{entry.parameters / 1e6:,.2f} M",
        "-" if entry.gflops is None else f"{entry.gflops:,.2f}",
        f"{entry.input_size or '-'}",
        "-" if entry.imagenet_accuracy is None else f"{entry.imagenet_accuracy:.1%}",
        entry.licence or "-",
        f"{entry.download_bytes / 1e6:,.0f} MB" if entry.download_bytes else "-",
        "yes" if entry.here else "no",
    )


def _remarks(found: list[Entry], counted: bool) -> Iterator[str]:
    yield f"{len(found):,} sources, {sum(entry.here for entry in found):,} here"
    if not counted and any(entry.gflops is None for entry in found):
        yield f"figures of timm are counted if at most {catalogue.FEW} sources are left, or with --all-figures"

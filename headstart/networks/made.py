"""The card of a model that was made here from a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headstart.base.code import versions
from headstart.base.grey import Grey
from headstart.networks.cards import ModelCard, SourceCard


def card(
    shipped: str,
    network: SourceCard,
    classes: Sequence[str],
    grey: Grey | None,
    data_sha256: str,
    metrics: Mapping[str, object],
    parameters: Mapping[str, object] | None = None,
) -> ModelCard:
    """What `shipped` names, a network of the source `network` for `classes`.

    The others are fields of ModelCard."""
    return ModelCard(
        format=1,
        shipped=shipped,
        source=network.name,
        library=network.library,
        architecture=network.architecture,
        kind=network.kind,
        weights_sha256=network.weights_sha256,
        transform=network.transform,
        grey=grey,
        classes=tuple(classes),
        data_sha256=data_sha256,
        parameters=parameters or {},
        versions=versions(),
        metrics=metrics,
    )

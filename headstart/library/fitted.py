"""What the steps of the library make: heads on a frozen source, and fine-tuned networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.base.devices import CPU, Device
from headstart.base.grey import Grey
from headstart.library.models import Model
from headstart.networks.cards import ModelCard, SourceCard
from headstart.networks.heads import Head
from headstart.params.blocks import FineTune, TrainHead
from headstart.statistics import paired, records
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point

if TYPE_CHECKING:
    from headstart.networks.model import Network
    from headstart.training import fine_tuning


@dataclass(frozen=True)
class FittedHead:
    """Heads that were fitted on a frozen source.

    `final` was fitted on train and validation, and predicts; `train_only` is the one from which fine-tuning begins.
    """

    source: SourceCard
    classes: list[str]
    final: Head
    train_only: Head
    block: TrainHead
    grey: Grey | None = None  # the scale of images of more than 8 bits a channel
    goal: Goal = ACCURACY  # what it is to be good at
    point: Point | None = None  # from which probability the final head names a class; None: the likeliest is named

    def model(self, device: Device = CPU) -> Model:
        """The source with the final head, as a model that predicts."""
        from headstart.networks import model, sources

        return _model(model.of(sources.known(self.source), self.final), "head", self, device)


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned network.

    `result` holds the curve and the figures, `record` which validation images were right at each row of the curve.
    """

    source: SourceCard
    classes: list[str]
    result: fine_tuning.Result
    record: records.Record
    block: FineTune
    grey: Grey | None = None  # the scale of images of more than 8 bits a channel
    point: Point | None = None  # as in FittedHead, chosen on the validation images

    @property
    def better(self) -> bool:
        """Whether it is right on clearly more validation images than the frozen head.

        Clearly more means: by more than a paired standard error.
        """
        right = self.record.right
        return paired.better(right[self.record.best], right[0])

    def model(self, device: Device = CPU) -> Model:
        """The network at its best epoch, as a model that predicts."""
        return _model(self.result.network, "fine_tuned", self, device)


def _model(network: Network, shipped: str, made: FittedHead | FineTuned, device: Device) -> Model:
    """A network as a model that predicts."""
    source = made.source
    card = ModelCard(
        library=source.library,
        architecture=source.architecture,
        weights_sha256=source.weights_sha256,
        transform=source.transform,
        classes=tuple(made.classes),
        grey=made.grey,
        format=1,
        shipped=shipped,
        source=source.name,
        kind=source.kind,
        point=made.point,
    )
    return Model(card, {name: value.numpy() for name, value in network.weights().items()}, device)

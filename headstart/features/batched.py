"""A network in batches, on every device of a kind: how cards run the frozen part."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headstart.base import devices
from headstart.base.devices import Device
from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.features.looking import Looks

    Give = Callable[[slice, torch.device], torch.Tensor]

log = logging.getLogger(__name__)
GPU_BATCH = 256  # images a GPU gets at once, until its memory runs out
# Images from which compiling pays. On an H100 it took 19 s and 9.5 s and saved 31 and 15 microseconds an image, of a ResNet-50 and a ViT-S: both earn
# it back after 600,000. The rule counts images, so that what runs does not depend on how fast a machine happens to be.
COMPILED_FROM = 600_000


class Batched:
    """A network in batches on every device of a kind.

    When memory runs out, the batch is halved and the work goes on.
    """

    def __init__(self, network: nn.Module, device: Device, on: list[torch.device] | None = None, batch: int = GPU_BATCH) -> None:
        import torch

        self.batch, self._device = batch, device
        places = on or device.all()
        self._networks = [(place, copy.deepcopy(network).eval().to(place).to(memory_format=torch.channels_last)) for place in places]
        self.devices = len(places)
        self._compiled: dict[torch.device, Callable[..., torch.Tensor]] = {}

    def compile(self) -> None:
        """Have batches of full size run by compiled code; what is left over runs as before, since it would be compiled again."""
        import torch

        if not self._compiled:
            self._compiled = {place: torch.compile(network, dynamic=False) for place, network in self._networks}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, size, size, 3) -> float32 (n, ...). Raises HeadstartError if not even one image fits."""
        return _fetched(self._each(len(images), lambda part, place: _put(images[part], place), self._networks))

    def look(self, pictures: np.ndarray, looks: Looks) -> np.ndarray:
        """Views of pictures, uint8 (n, height, width, 3), cut where the network runs -> float32 (views, ...). Raises as a call does."""
        return _fetched(self._looked(pictures, looks, self._networks))

    def there(self, pictures: np.ndarray, looks: Looks, place: torch.device) -> list[torch.Tensor]:
        """As `look`, in parts that are computed on one of the devices and stay there."""
        return self._looked(pictures, looks, [one for one in self._networks if one[0] == place])

    def _looked(self, pictures: np.ndarray, looks: Looks, on: list[tuple[torch.device, nn.Module]]) -> list[torch.Tensor]:
        from headstart.features import looking

        def views(part: slice, place: torch.device) -> torch.Tensor:
            some = looks.part(part)
            first, last = int(some.which[0]), int(some.which[-1])
            return looking.look(_put(pictures[first : last + 1], place), replace(some, which=some.which - first))

        return self._each(len(looks), views, on)

    def _each(self, count: int, give: Give, on: list[tuple[torch.device, nn.Module]]) -> list[torch.Tensor]:
        """What the network gives for `count` images; `give` puts a part of them on a device, uint8 (n, size, size, 3)."""
        import torch

        parts: list[torch.Tensor] = []
        done = 0
        while done < count:
            try:
                part = self._together(done, count, give, on)
            except torch.OutOfMemoryError:
                part = None
            if part is None:
                self._halve()
                continue
            parts += part
            done += sum(map(len, part))
        return parts

    def _together(self, done: int, count: int, give: Give, on: list[tuple[torch.device, nn.Module]]) -> list[torch.Tensor]:
        """A part on each device, from the image `done` on."""
        import torch

        launched = []
        with torch.no_grad():  # not inference_mode, whose tensors no training may use
            for place, network in on:
                part = slice(done, min(done + self.batch, count))
                if part.start < part.stop:
                    images = give(part, place)  # views are cut in float32, whatever the network multiplies with
                    with devices.autocast(self._device, place.type):
                        launched.append(self._run(images, place, network).float())
                done = part.stop
        return launched

    def _run(self, images: torch.Tensor, place: torch.device, network: nn.Module) -> torch.Tensor:
        """What a network gives for images on its device."""
        import torch

        if place in self._compiled and len(images) == self.batch:
            try:
                return self._compiled[place](images)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers raise many kinds; PyTorch itself is the answer to all
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                log.info("this network cannot be compiled (%s); PyTorch runs it as it is", first[:200])
                self._compiled = {}
        return network(images)

    def _halve(self) -> None:
        import torch

        if self.batch == 1:
            raise HeadstartError("the memory of the GPU does not hold one image of this network; use device: cpu, or a smaller input_size")
        self.batch //= 2
        torch.cuda.empty_cache()
        log.warning("the memory of the GPU ran out: going on with %d images at a time", self.batch)


def _fetched(parts: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([part.cpu().numpy() for part in parts])


def _put(images: np.ndarray, place: torch.device) -> torch.Tensor:
    """An array on a device."""
    import torch

    given = torch.from_numpy(images)
    return given.pin_memory().to(place, non_blocking=True) if place.type == "cuda" else given.to(place)

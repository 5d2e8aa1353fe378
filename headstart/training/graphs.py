"""Steps of training as CUDA graphs: what the card does in a step is noted once, and then done again by one call.

A step of 32 images is hundreds of short kernels, and a card waits for Python between them. A graph has the addresses of its tensors in it, so
what changes from step to step goes into tensors that stay: the images, the labels, the rates (updates.py), the scale of the loss. What cannot be
captured runs as before, and the reason is said once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

log = logging.getLogger(__name__)
Step = Callable[..., torch.Tensor]  # of tensors, all work of which is on the card, and whose result stays there
FIRST = 3  # steps of each shape that are done as usual: libraries choose their algorithms and take their memory in these


class Recorder(Protocol):
    """Who notes what a step does."""

    def warm(self, step: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Do a step in the way in which it will be captured."""

    def capture(self, step: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """Note a step without doing it: what does it, and the tensor in which its result then lies."""


class Cuda:
    """Captures on a card."""

    def __init__(self, place: torch.device) -> None:
        self._stream = torch.cuda.Stream(place)
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, step: Callable[[], torch.Tensor]) -> torch.Tensor:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = step()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def capture(self, step: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        # Other threads pin memory meanwhile, which a capture would else forbid.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            result = step()
        return graph.replay, result


class Graphs:
    """Does the steps of a phase, and captures one graph for each shape of a batch; without a recorder every step is done as usual."""

    def __init__(self, recorder: Recorder | None = None, place: torch.device | None = None) -> None:
        self._recorder, self.place = recorder, place  # on which steps are captured
        self._seen: dict[tuple[torch.Size, ...], int] = {}
        self._kept: dict[tuple[torch.Size, ...], tuple[list[torch.Tensor], Callable[[], None], torch.Tensor]] = {}

    @classmethod
    def on(cls, place: torch.device, processes: int) -> Graphs:
        """For steps on a device of which so many processes train together."""
        if place.type == "cuda" and processes == 1:
            return cls(Cuda(place), place)
        if place.type == "cuda":
            log.info("steps are not captured as CUDA graphs: several processes exchange their gradients in each")
        return cls()

    def run(self, step: Step, given: Sequence[torch.Tensor]) -> torch.Tensor:
        """The result of `step` for what is given, which may still lie in main memory; it is valid until the next step."""
        if self._recorder is None:
            return step(*given)
        shapes = tuple(one.shape for one in given)
        if shapes not in self._kept:
            self._seen[shapes] = self._seen.get(shapes, 0) + 1
            there = [one.to(self.place, non_blocking=True) for one in given]
            if self._seen[shapes] <= FIRST:
                return self._recorder.warm(lambda: step(*there))
            if not self._capture(step, shapes, there):
                return step(*there)
        inputs, again, result = self._kept[shapes]
        for own, one in zip(inputs, given, strict=True):
            own.copy_(one, non_blocking=True)
        again()
        return result

    def _capture(self, step: Step, shapes: tuple[torch.Size, ...], there: list[torch.Tensor]) -> bool:
        """Capture a step for inputs of these shapes; whether that was possible."""
        assert self._recorder is not None
        inputs = [torch.empty_like(one).copy_(one) for one in there]
        try:
            again, result = self._recorder.capture(lambda: step(*inputs))
        except RuntimeError as error:  # what CUDA and PyTorch raise, running out of memory included
            log.info("steps are not captured as CUDA graphs (%s); each is started by itself", str(error).splitlines()[0][:200])
            self._recorder, self._kept = None, {}
            return False
        self._kept[shapes] = inputs, again, result
        return True

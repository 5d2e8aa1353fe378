"""timm, torchvision and the counter of operations come without PyTorch's compiler, which can be imported all the same."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from headstart.networks import common, libraries
timm, torchvision = libraries.timm(), libraries.torchvision()
import torch
from torch import nn
from headstart.training.updates import Updates

network = timm.create_model("test_resnet", num_classes=2)
updates = Updates([{"params": list(network.parameters()), "lr": 0.1, "weight_decay": 0.0}], 2)
gradients = torch.autograd.grad(network(torch.zeros(2, 3, 32, 32)).sum(), updates.weights)
updates.step(gradients, nn.utils.get_total_norm(gradients))
assert common.gflops(network.eval(), 32) > 0
assert torchvision.models.get_model("resnet18", weights=None)
print([name for name in ("torch._dynamo", "torch._dynamo.utils", "sympy") if name in sys.modules])
print(type(torchvision.ops.roi_align.__globals__["is_compile_supported"]("cpu")).__name__)
print(torch.compiler.disable.__module__, "torch._dynamo.convert_frame" in sys.modules, libraries.timm() is timm)
"""


def test_the_compiler_is_imported_by_whoever_needs_it_and_nobody_else() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "bool", "torch.compiler True True"]

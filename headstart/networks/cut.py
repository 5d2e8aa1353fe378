"""Cut any image network into a chain of named stages.

Its frozen part can then run apart from the part that is trained.

A network is traced with torch.fx. A cut is possible wherever a single tensor is all that the rest of the network needs; the cuts
that fall between blocks are used. Stage names are module names of the network itself (`conv_stem`, `blocks.0`, `layer4`, ...).
Parameters are shared with the network, so training a stage trains the network.
"""

from __future__ import annotations

import inspect
import warnings
from collections import OrderedDict
from typing import Any

import torch
from torch import fx, nn

from headstart.networks import pairs

# Modules of these names only hold the blocks of a network; their children are the stages. `layer1` and the like are stages themselves.
CONTAINERS = {"blocks", "stages", "features", "layers", "encoder", "levels", "trunk_output", "trunk", "body"}


def chain(trunk: nn.Module) -> nn.Sequential:
    """Cut `trunk` into named stages.

    Together they compute what `trunk` computes, in eval mode (`verify` measures it).
    A pair, and a network that cannot be traced, become one stage called `trunk`.
    Names have `.` replaced by `-`, as module names cannot hold dots; `name` gives a stage's name back.
    """
    trunk.eval()
    if isinstance(trunk, pairs.Pair):  # no single tensor is all that its rest needs
        return nn.Sequential(OrderedDict(trunk=trunk))
    try:
        graph = _trace(trunk)
        stages = _cut(trunk, graph).eval()
    except Exception as error:  # fx raises whatever the network's own code raises when it meets a proxy
        warnings.warn(f"{type(trunk).__name__} cannot be cut into stages ({error}); it is trained whole or not at all", stacklevel=2)
        return nn.Sequential(OrderedDict(trunk=trunk))
    return stages


def name(key: str) -> str:
    """The name of a stage, from its key in the chain."""
    return key.replace("-", ".")


def _trace(trunk: nn.Module) -> fx.Graph:
    """The graph of `trunk` as a function of the image alone, its shape checks left out."""
    extra = list(inspect.signature(trunk.forward).parameters.values())[1:]
    traced = _Tracer(trunk).trace(trunk, concrete_args={p.name: p.default for p in extra if p.default is not p.empty})
    graph = fx.GraphModule(trunk, traced).graph
    for node in reversed(graph.nodes):
        if node.op == "call_function" and "_assert" in getattr(node.target, "__name__", ""):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    for node in list(graph.find_nodes(op="placeholder"))[1:]:
        if not node.users:
            graph.erase_node(node)
    return graph


class _Tracer(fx.Tracer):
    """Trace into blocks, but not into what the network's library marks as untraceable."""

    def __init__(self, trunk: nn.Module) -> None:
        self._leaves: tuple[type[nn.Module], ...] = ()
        functions: list[Any] = []
        if type(trunk).__module__.startswith("timm."):
            from timm.models._features_fx import get_notrace_functions, get_notrace_modules

            self._leaves, functions = tuple(get_notrace_modules()), list(get_notrace_functions())
        super().__init__(autowrap_functions=tuple(functions))

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, self._leaves) or super().is_leaf_module(module, qualified_name)


def _cut(trunk: nn.Module, graph: fx.Graph) -> nn.Sequential:
    """Make a module of each group of nodes; each keeps the parameter names of the whole network."""
    nodes = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    entry = next(iter(graph.find_nodes(op="placeholder")))
    stages = nn.Sequential()
    for key, members in _groups(trunk, nodes):
        part = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {entry: part.placeholder("x")}

        def copy(node: fx.Node, part: fx.Graph = part, copies: dict[fx.Node, fx.Node] = copies) -> fx.Node:
            if node not in copies:
                if node.op != "get_attr":
                    raise RuntimeError(f"{node} of an earlier stage is needed again")
                copies[node] = part.node_copy(node)
            return copies[node]

        for node in members:
            copies[node] = part.node_copy(node, copy)
        part.output(copies[members[-1]])
        stages.add_module(key.replace(".", "-"), fx.GraphModule(trunk, part))
        entry = members[-1]
    return stages


def _groups(trunk: nn.Module, nodes: list[fx.Node]) -> list[tuple[str, list[fx.Node]]]:
    """Group nodes in order into stages, by block name.

    Groups are joined if no cut is possible between them or one has no weights of its own.
    """
    runs: list[tuple[str, list[fx.Node]]] = []
    for node in nodes:
        key = _key(node) or (runs[-1][0] if runs else "stem")
        if runs and (runs[-1][0] == key or not _cuttable(runs[-1][1][-1], nodes)):
            runs[-1][1].append(node)
        else:
            runs.append((key, [node]))
    merged: list[tuple[str, list[fx.Node]]] = []
    small = False  # whether the last merged stage is no block: a stem, or the last layers before the pooling
    for key, members in runs:
        layers = _weight_layers(trunk, members)
        if merged and (layers == 0 or (small and layers <= 1)):
            merged[-1][1].extend(members)
        else:
            merged.append((key, list(members)))
            small = layers <= 1 and not _is_block(key)
    return merged


def _key(node: fx.Node) -> str:
    """The name of the block a node belongs to; empty for what is between blocks."""
    stack = node.meta.get("nn_module_stack")
    path = next(reversed(stack.values()))[0] if stack else ""
    if node.op in ("call_module", "get_attr"):
        path = str(node.target)
    parts = path.split(".")
    depth = 0
    while depth < len(parts) - 1 and parts[depth] in CONTAINERS:
        depth += 1
    return ".".join(parts[: depth + 1])


def _is_block(key: str) -> bool:
    return key.split(".")[0] in CONTAINERS


def _cuttable(node: fx.Node, nodes: list[fx.Node]) -> bool:
    """Whether `node` is all that later nodes need of it and of what came before it."""
    order = {n: i for i, n in enumerate(nodes)}
    here = order[node]
    return all(
        order.get(user, len(nodes)) <= here for earlier in nodes[:here] if earlier.op != "get_attr" for user in earlier.users
    ) and not any(order.get(user, -1) > here for placeholder in node.graph.find_nodes(op="placeholder") for user in placeholder.users)


def _weight_layers(trunk: nn.Module, members: list[fx.Node]) -> int:
    """How many convolutions and linear layers a group of nodes holds."""
    modules = {str(n.target) for n in members if n.op == "call_module"}
    return sum(isinstance(m, nn.modules.conv._ConvNd | nn.Linear) for target in modules for m in trunk.get_submodule(target).modules())


def verify(trunk: nn.Module, stages: nn.Sequential, size: int) -> float:
    """Largest difference between the network and its chain on one random image of `size` pixels."""
    example = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return float((trunk(example) - stages(example)).abs().max())

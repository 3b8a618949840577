"""EfficientNet-Lite's trunk through ONNX Runtime, alone or in an ensemble: the same sums as
torch's, in half the time (docs/network-speed.md).

The graph is built in memory from the weights that are loaded anyway, in a few hundredths of a
second; nothing is exported or stored. ONNX Runtime has no gradient and is used for float32 on CPUs
alone: saliency, training and GPUs take torch's layers, which stay as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from agegender_core.forking import renewed_after_fork
from agegender_core.inference.fused_convolution import FusedActivation, short_way
from agegender_core.models.efficientnet_lite import FEATURES, Block, LiteTrunk
from agegender_core.vision.helper_threads import MOST, Helpers

if TYPE_CHECKING:
    import onnx
    import onnxruntime

CHUNK = 16
"""Images that go through at once: their values fit into the processor's cache, and what one call
needs is bounded. Where there are two threads, each takes some."""
OPSET, IR_VERSION = 17, 9
"""Of the graph: old enough for every ONNX Runtime of the last years."""


@cache
def _helpers(count: int) -> Helpers:
    """Threads that all trunks share."""
    return Helpers(count)


def available() -> bool:
    """Whether both packages are installed; neither is imported."""
    return all(find_spec(name) is not None for name in ("onnx", "onnxruntime"))


class OnnxTrunk(LiteTrunk):
    """``trunk``, whose layers it shares, through ONNX Runtime where no gradient is wanted.
    Thread-safe.

    ``trunk``: its batch norms folded into its convolutions.
    """

    def __init__(self, trunk: LiteTrunk) -> None:
        super(LiteTrunk, self).__init__()
        for name, layer in trunk.named_children():
            self.add_module(name, layer)
        self.train(trunk.training)
        self._session: onnxruntime.InferenceSession | None = None
        self.renew_after_fork()
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """In a forked process: another thread may have held the lock. The session has no threads
        of its own and stays."""
        self._lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1280)."""
        if not short_way(x) or not len(x):
            return super().forward(x)
        session, images = self._ready(), x.detach().contiguous()
        tasks = [
            lambda part=part: session.run(None, {"x": part.numpy()})[0]
            for part in images.split(CHUNK)
        ]
        parts = _helpers(min(torch.get_num_threads() - 1, MOST))(tasks)
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _ready(self) -> onnxruntime.InferenceSession:
        session = self._session
        if session is None:
            with self._lock:
                session = self._session
                if session is None:
                    session = self._session = start_session(graph_of(self))
        return session

    def _apply(self, *args: Any, **options: Any) -> OnnxTrunk:
        super()._apply(*args, **options)
        self._session = None  # it has the weights of before
        return self

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        super()._load_from_state_dict(*args, **options)
        self._session = None

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: the session can neither be copied nor sent."""
        return self.__dict__ | {"_lock": None, "_session": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.renew_after_fork()
        renewed_after_fork(self)


def start_session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """``graph``, ready to run on the thread that calls it.

    Threads of its own save nothing on a few faces, and a forked process could neither use nor end
    them.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def graph_of(trunk: LiteTrunk) -> onnx.ModelProto:
    """The graph of ``trunk``: «x», (N, 3, H, W), to «features», (N, 1280). Raises ``TypeError`` for
    a layer that is none of the trunk's, such as a batch norm that was not folded.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    values = "x"
    for name, layer in trunk.named_children():
        if isinstance(layer, nn.Sequential):
            for block_name, block in _blocks(layer):
                values = _block(graph, values, f"{name}.{block_name}", block)
        else:
            values = _layer(graph, values, name, layer)
    values = graph.node("GlobalAveragePool", [values], "pooled")
    graph.node("Flatten", [values], "features")
    shapes: dict[str, list[str | int | None]] = {
        "x": ["images", 3, "height", "width"],
        "features": ["images", FEATURES],
    }
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    made = helper.make_graph(graph.nodes, "trunk", ends[:1], ends[1:], graph.constants)
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


class _Graph:
    """Nodes and constants so far. Values have the names of the layers that they come from."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        for name, value in (("0", 0), ("6", 6)):
            self.constant(name, np.float32(value))

    def constant(self, name: str, value: np.ndarray | np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def _blocks(stages: nn.Sequential) -> Iterator[tuple[str, Block]]:
    for name, module in stages.named_modules():
        if isinstance(module, Block):
            yield name, module


def _block(graph: _Graph, values: str, name: str, block: Block) -> str:
    before = values
    for part, layer in block.named_children():
        values = _layer(graph, values, f"{name}.{part}", layer)
    return graph.node("Add", [values, before], f"{name}.sum") if block.shortcut else values


def _layer(graph: _Graph, values: str, name: str, layer: nn.Module) -> str:
    """Adds ``layer`` and returns the name of what it makes of ``values``. Raises ``TypeError``. The
    activation of a fused convolution is the layer after it, as in torch.
    """
    if isinstance(layer, nn.Identity):
        return values
    if isinstance(layer, nn.ReLU6) or (
        isinstance(layer, FusedActivation) and isinstance(layer.activation, nn.ReLU6)
    ):
        return graph.node("Clip", [values, "0", "6"], name)
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"{name} is {type(layer).__name__}, which has no place in this graph")
    inputs = [values]
    for part, tensor in (("weight", layer.weight), ("bias", layer.bias)):
        if tensor is not None:
            inputs.append(
                graph.constant(f"{name}.{part}", tensor.detach().cpu().contiguous().numpy())
            )
    # Stride 1 has the same margins on all sides, the others those that torch's layer works out.
    return graph.node(
        "Conv",
        inputs,
        name,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        group=layer.groups,
        auto_pad="SAME_UPPER",
    )

"""The ONNX nodes around a deployed network: from uint8 pixels of any size to its inputs, and from logits to labels.

Evaluation resizes a crop with Pillow, or with torch if the edges of the crop are whole pixels. Both resize along one
axis and then the other, by integer weights with a common number of fractional bits, and round to uint8 each time. The
nodes compute the same weights from the size of the pixels, so that the inputs are the same. ONNX's own `Resize` with
antialiasing can't do that: in onnxruntime 1.32, it differs by up to 15 of 255 shades.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnx
import PIL
from onnx import TensorProto, helper, numpy_helper

from recipe.base.channels import GRAY, LUMA
from recipe.runs.provenance import Preprocessing

TOP = 5
"""The number of most likely labels that a deployed network returns for each image, if it has as many classes."""

BITS = 22
"""The fractional bits of Pillow's weights. Torch takes the most up to this with which the largest weight fits in 16."""

HALF = 2.0**11
"""Weights are split into multiples of this and the rest. The sums of both by uint8 are exact in float32 up to a scale
of 16. Beyond it, they are off by less than a thousandth of a shade before they are rounded."""

ROWS_FIRST = int(PIL.__version__.partition(".")[0]) >= 13
"""Whether Pillow resizes rows before columns if the height shrinks by more than twice as many pixels as the width."""

Kind = type[np.float32] | type[np.float64]

Constant = int | float | np.float32 | list[int] | npt.NDArray[Any]
"""A tensor: int64, or float64 for a float."""


@attrs.define
class Nodes:
    """Nodes under construction. A call adds one, and returns the name of its output."""

    prefix: str
    nodes: list[onnx.NodeProto] = attrs.field(factory=list)
    constants: list[onnx.TensorProto] = attrs.field(factory=list)

    def __call__(self, kind: str, *inputs: str | Constant, output: str = "", **attributes: Any) -> str:
        output = output or f"{self.prefix}_{len(self.nodes)}"
        self.several(kind, *inputs, outputs=(output,), **attributes)
        return output

    def several(self, kind: str, *inputs: str | Constant, outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node with several outputs."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, names, outputs, f"{self.prefix}_{len(self.nodes)}", **attributes))

    def graph(self, name: str, inputs: Sequence[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> onnx.GraphProto:
        """Return a graph of the nodes."""
        return helper.make_graph(self.nodes, name, inputs, [output], self.constants)

    def _constant(self, value: Constant) -> str:
        name = f"{self.prefix}_constant_{len(self.constants)}"
        array = np.asarray(value, np.int64 if isinstance(value, (int, list)) else None)
        if array.dtype == object:
            self.constants.append(helper.make_tensor(name, TensorProto.STRING, array.shape, array.tolist()))
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return name


def deploy(network: onnx.ModelProto, preprocessing: Preprocessing, classes: int, names: Sequence[str]) -> None:
    """Turn a network from ``images`` to ``logits`` into one from ``pixels`` to probabilities and labels, in place.

    ``names`` are those of the classes, or empty. Halves of characters in them, which UTF-8 doesn't have, are escaped.
    """
    graph, before, after = network.graph, _preprocessed(preprocessing), Nodes("label")
    top = min(TOP, classes)
    after("Softmax", "logits", output="probabilities", axis=1)
    after.several("TopK", "probabilities", [top], outputs=("top_probabilities", "top_classes"), axis=1)
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes]),
        helper.make_tensor_value_info("top_classes", TensorProto.INT64, ["N", top]),
        helper.make_tensor_value_info("top_probabilities", TensorProto.FLOAT, ["N", top]),
    ]
    if names:
        texts = [name.encode("utf-8", "backslashreplace") for name in names]
        after("Gather", np.array(texts, object), "top_classes", output="top_labels")
        outputs.append(helper.make_tensor_value_info("top_labels", TensorProto.STRING, ["N", top]))
    nodes = [*before.nodes, *(onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node), *after.nodes]
    for field, values in ((graph.node, nodes), (graph.input, [_pixels()]), (graph.output, outputs)):
        del field[:]
        field.extend(values)
    graph.initializer.extend([*before.constants, *after.constants])


def metadata(preprocessing: Preprocessing) -> dict[str, str]:
    """Return the metadata of a deployed network that describe its preprocessing, as text."""
    return {
        "pixels": "uint8 (N, H, W, 3), RGB, of any height and width",
        "crop": json.dumps(preprocessing.crop),
        "interpolation": f"{preprocessing.interpolation}, antialiased",
    }


def preprocessing_alone(preprocessing: Preprocessing, network: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of only the nodes that turn ``pixels`` into the ``images`` of a deployed network."""
    images = helper.make_tensor_value_info(
        "images", TensorProto.FLOAT, ["N", len(preprocessing.mean), *[preprocessing.size] * 2]
    )
    graph = _preprocessed(preprocessing).graph("preprocessing", [_pixels()], images)
    return helper.make_model(graph, opset_imports=network.opset_import, ir_version=network.ir_version)


def _pixels() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])


def _preprocessed(preprocessing: Preprocessing) -> Nodes:
    """Return the nodes that turn ``pixels`` into ``images``."""
    nodes, size = Nodes("pixels"), preprocessing.size
    shape = nodes("Shape", "pixels")
    sides = [nodes("Gather", shape, axis) for axis in (1, 2)]
    filter = FILTERS[preprocessing.interpolation]
    if preprocessing.crop is None:
        resized = _whole(nodes, sides, size, filter)
    else:
        resized = _center(nodes, sides, size, preprocessing.crop, filter)
    mean, std = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    unit = nodes("Div", resized, np.float32(255))
    if len(preprocessing.mean) == GRAY:
        unit = nodes("ReduceSum", nodes("Mul", unit, np.asarray(LUMA, np.float32).reshape(-1, 1, 1)), [1])
    nodes("Div", nodes("Sub", unit, mean), std, output="images")
    return nodes


def _whole(nodes: Nodes, sides: Sequence[str], size: int, filter: Filter) -> str:
    """Resize the whole image as torch does in float32, and round it: (N, 3, size, size)."""
    kind, weights = np.float32, []
    for side in sides:
        places, length = _places(nodes, 0, side, kind), _number(nodes, side, kind)
        weights.append(_weights(nodes, _shares(nodes, places, kind(0), length, size, filter, kind)))
    rows, columns = weights
    narrow = nodes("MatMul", _planes(nodes, "pixels"), nodes("Transpose", columns))
    rounded = nodes("Round", nodes("MatMul", rows, narrow))
    return _clipped(nodes, rounded) if filter.overshoots else rounded


def _center(nodes: Nodes, sides: Sequence[str], size: int, crop: float, filter: Filter) -> str:
    """Resize the centered square as Pillow or torch does in integers: (N, 3, size, size), of whole float32."""
    short = nodes("Min", *sides)
    length = nodes("Mul", _number(nodes, short), crop)
    lows = [nodes("Div", nodes("Sub", _number(nodes, side), length), 2.0) for side in sides]
    boxes = [(low, nodes("Add", low, length)) for low in lows]
    whole = None
    if filter.cuts:
        fractions = [nodes("Sub", edge, nodes("Floor", edge)) for box in boxes for edge in box]
        whole = nodes("Equal", nodes("Sum", *fractions), 0.0)
    # The weights of pixels beyond the square of the short side, and of what its edges reach, are 0.
    reach = nodes("Add", nodes("Mul", nodes("Add", nodes("Div", short, size), 1), filter.support), 1)
    starts = [nodes("Max", nodes("Sub", nodes("Div", nodes("Sub", side, short), 2), reach), 0) for side in sides]
    stops = [nodes("Sub", side, start) for side, start in zip(sides, starts, strict=True)]
    ends = [nodes("Concat", *(nodes("Unsqueeze", end, [0]) for end in those), axis=0) for those in (starts, stops)]
    planes = _planes(nodes, nodes("Slice", "pixels", *ends, [1, 2]))
    rows, columns = (
        _integers(nodes, _places(nodes, start, stop), box, size, whole, filter)
        for start, stop, box in zip(starts, stops, boxes, strict=True)
    )
    if not ROWS_FIRST:
        return _resized(nodes, planes, rows, columns, filter, rows_first=False)
    shrunk = [nodes("Sub", side, size) for side in sides]
    least = nodes("Max", nodes("Mul", shrunk[1], 2), 0)
    tall = nodes("Greater", shrunk[0], least)
    if whole is not None:
        tall = nodes("And", tall, nodes("Not", whole))
    branches = {}
    for name, rows_first in (("then_branch", True), ("else_branch", False)):
        branch = Nodes(name)
        output = _resized(branch, planes, rows, columns, filter, rows_first)
        branches[name] = branch.graph(name, [], helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return nodes("If", tall, **branches)


def _resized(
    nodes: Nodes, planes: str, rows: tuple[str, str], columns: tuple[str, str], filter: Filter, rows_first: bool
) -> str:
    """Resize planes (N, 3, H, W) by the weights of their rows and columns, each with its unit: (N, 3, size, size)."""

    def by_rows(planes: str) -> str:
        return clipped(_rounded(nodes, nodes("MatMul", rows[0], planes), rows[1], 2))

    def by_columns(planes: str) -> str:
        return clipped(_rounded(nodes, nodes("MatMul", planes, nodes("Transpose", columns[0])), columns[1], 3))

    def clipped(shades: str) -> str:
        return _clipped(nodes, shades) if filter.overshoots else shades

    return by_columns(by_rows(planes)) if rows_first else by_rows(by_columns(planes))


def _clipped(nodes: Nodes, shades: str) -> str:
    return nodes("Clip", shades, np.float32(0), np.float32(255))


def _number(nodes: Nodes, value: str, kind: Kind = np.float64) -> str:
    """Return a tensor of numbers of this kind."""
    return nodes("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def _planes(nodes: Nodes, pixels: str) -> str:
    """Return pixels (N, H, W, 3) as float32 (N, 3, H, W)."""
    return nodes("Cast", nodes("Transpose", pixels, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)


def _places(nodes: Nodes, start: str | int, stop: str, kind: Kind = np.float64) -> str:
    """Return the indices of the pixels along an axis: (places,)."""
    return _number(nodes, nodes("Range", start, stop, 1), kind)


def _shares(
    nodes: Nodes,
    places: str,
    low: str | Constant,
    length: str,
    size: int,
    filter: Filter,
    kind: Kind = np.float64,
) -> str:
    """Return the shares of the pixels of which each resized pixel of a box is made: (size, places), of this kind.

    The operations are those of torch and Pillow, in their order.
    """
    scale = nodes("Div", length, kind(size))
    middles = nodes("Add", low, nodes("Mul", scale, (np.arange(size).reshape(size, 1) + 0.5).astype(kind)))
    distances = nodes("Add", nodes("Sub", places, middles), kind(0.5))
    shrink = nodes("Div", kind(1), nodes("Max", scale, kind(1)))
    return filter.shares(nodes, nodes("Abs", nodes("Mul", distances, shrink)), kind)


def _triangle(nodes: Nodes, x: str, kind: Kind) -> str:
    """Return the shares of pixels at distances ``x`` for bilinear interpolation."""
    return nodes("Max", nodes("Sub", kind(1), x), kind(0))


def _cubic(nodes: Nodes, x: str, kind: Kind) -> str:
    """Return the shares of pixels at distances ``x`` for bicubic interpolation, with a = -0.5."""
    a = -0.5
    near = nodes("Sub", nodes("Mul", x, kind(a + 2)), kind(a + 3))
    near = nodes("Add", nodes("Mul", nodes("Mul", near, x), x), kind(1))
    far = nodes("Add", nodes("Mul", nodes("Sub", x, kind(5)), x), kind(8))
    far = nodes("Mul", nodes("Sub", nodes("Mul", far, x), kind(4)), kind(a))
    beyond = nodes("Where", nodes("Less", x, kind(2)), far, kind(0))
    return nodes("Where", nodes("Less", x, kind(1)), near, beyond)


@attrs.frozen
class Filter:
    """How pixels are weighted when images are resized."""

    shares: Callable[[Nodes, str, Kind], str]
    support: int
    """The distance from which on pixels don't count, in resized pixels."""
    overshoots: bool
    """Whether some weights are negative, so that sums may be outside of 0 to 255."""
    cuts: bool
    """Whether a box of whole pixels is resized without its neighbors, by torch."""


FILTERS = {"bilinear": Filter(_triangle, 1, False, True), "bicubic": Filter(_cubic, 2, True, False)}
"""The filter of each interpolation."""


def _weights(nodes: Nodes, shares: str) -> str:
    """Return shares whose sum is 1 for each resized pixel."""
    return nodes("Div", shares, nodes("ReduceSum", shares, [1]))


def _integers(
    nodes: Nodes, places: str, box: tuple[str, str], size: int, whole: str | None, filter: Filter
) -> tuple[str, str]:
    """Return the integer weights along an axis: float32 (2 × size, places), the multiples of `HALF`, then the rest.

    Also returns what stands for 1 in them: float64 ().
    """
    edges = [_number(nodes, edge, np.float32) for edge in box]  # as Pillow keeps them
    low, high, length = (_number(nodes, edge) for edge in (*edges, nodes("Sub", edges[1], edges[0])))
    shares = _shares(nodes, places, low, length, size, filter)
    powers = 2.0 ** np.arange(BITS + 1)
    bits: str | int = BITS
    if whole is None:
        weights = _weights(nodes, shares)
    else:
        # A box of whole pixels is resized without its neighbors.
        outside = nodes("Or", nodes("Less", places, low), nodes("GreaterOrEqual", places, high))
        weights = _weights(nodes, nodes("Where", nodes("And", outside, whole), 0.0, shares))
        largest = nodes("ReduceMax", weights, keepdims=0)
        fit = nodes("Cast", nodes("Less", nodes("Mul", largest, powers[1:]), 2.0**15 - 0.5), to=TensorProto.INT64)
        bits = nodes("Where", whole, nodes("ReduceSum", fit, keepdims=0), BITS)
    unit = nodes("Gather", powers, bits)
    integers = nodes("Floor", nodes("Add", nodes("Mul", weights, unit), 0.5))
    multiples = nodes("Floor", nodes("Div", integers, HALF))
    rest = nodes("Sub", integers, nodes("Mul", multiples, HALF))
    return nodes("Cast", nodes("Concat", multiples, rest, axis=0), to=TensorProto.FLOAT), unit


def _rounded(nodes: Nodes, sums: str, unit: str, axis: int) -> str:
    """Return sums by integer weights, the multiples and then the rest along an axis, in shades that are rounded up."""
    parts = (f"{sums}_multiples", f"{sums}_rest")
    nodes.several("Split", sums, outputs=parts, axis=axis, num_outputs=2)
    carried = nodes("Floor", nodes("Div", parts[1], np.float32(HALF)))
    multiple = nodes("Cast", nodes("Div", unit, HALF), to=TensorProto.FLOAT)
    total = nodes("Add", nodes("Add", parts[0], carried), nodes("Div", multiple, np.float32(2)))
    return nodes("Floor", nodes("Div", total, multiple))

"""Reverse-mode differentiation of expression graphs: derivatives of one node by others, as nodes of the same graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from vpinn.errors import InputError
from vpinn.forms.graph import NUMBER, PRODUCT, SLOT, SUM, Graph, Node


def derivatives(graph: Graph, output: Node, inputs: Sequence[Node]) -> list[Node]:
    """Return ∂output/∂input for every input, zero where there is no dependence.

    At kinks the derivative is one-sided: that of the branch a conditional takes, and 0 for |·| at 0.
    """
    wanted = set(inputs)
    leading = _leading(graph, output, wanted)
    bars: dict[Node, list[Node]] = {output: [graph.number(1.0)]}
    for node in reversed(leading):
        bar = graph.add(bars.get(node, []))
        bars[node] = [bar]
        if graph.is_number(bar) and graph.value(bar) == 0.0:
            continue
        for operand, share in _shares(graph, node, bar):
            bars.setdefault(operand, []).append(share)
    return [graph.add(bars.get(node, [])) for node in inputs]


def _leading(graph: Graph, output: Node, inputs: set[Node]) -> list[Node]:
    """Return the nodes between inputs and output, operands first, without the inputs."""
    depends: set[Node] = set(inputs)
    between = []
    for node in graph.reachable([output]):
        if node not in inputs and graph.nodes[node][0] not in (NUMBER, SLOT) and depends & set(graph.nodes[node][1:]):
            depends.add(node)
            between.append(node)
    return between


def _shares(graph: Graph, node: Node, bar: Node) -> Iterator[tuple[Node, Node]]:
    """Yield operands of a node with their shares of its cotangent."""
    operation, *operands = graph.nodes[node]
    if operation == SUM:
        yield from ((operand, bar) for operand in operands)
    elif operation == PRODUCT:
        counts = Counter(operands)
        for operand, count in counts.items():
            rest = [o for other in counts for o in [other] * (counts[other] - (other == operand))]
            yield operand, graph.multiply([graph.number(count), *rest, bar])
    elif operation in PARTIALS:
        for operand, partial in zip(operands, PARTIALS[operation](graph, node, *operands), strict=True):
            if partial is not None:
                yield operand, graph.multiply([partial, bar])
    elif operation == "where":
        zero = graph.number(0.0)
        yield operands[1], graph.call("where", operands[0], bar, zero)
        yield operands[2], graph.call("where", operands[0], zero, bar)


def _divide(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
    return g.call("divide", g.number(1.0), b), g.multiply([g.number(-1.0), g.call("divide", node, b)])


def _power(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node, Node | None]:
    by_base = g.multiply([b, g.call("power", a, g.add([b, g.number(-1.0)]))])
    if g.is_number(b):
        return by_base, None
    if g.is_number(a) and g.value(a) <= 0.0:
        raise InputError(f"the power of {g.value(a):g} to a varying exponent has no derivative; change the base")
    return by_base, g.multiply([node, g.call("ln", a)])


def _chosen(comparison: str) -> Callable[[Graph, Node, Node, Node], tuple[Node, Node]]:
    """Return the partials of the smaller or the larger of two values: 1 for the one that is taken."""

    def partials(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
        taken = g.call(comparison, a, b)
        one, zero = g.number(1.0), g.number(0.0)
        return g.call("where", taken, one, zero), g.call("where", taken, zero, one)

    return partials


def _sign(g: Graph, node: Node, a: Node) -> tuple[Node]:
    zero = g.number(0.0)
    negative = g.call("where", g.call("less", a, zero), g.number(-1.0), zero)
    return (g.call("where", g.call("greater", a, zero), g.number(1.0), negative),)


def _over_root(factor: float, sign: float) -> Callable[[Graph, Node, Node], tuple[Node]]:
    """Return the partial factor/√(1 + sign·a²)."""

    def partial(g: Graph, node: Node, a: Node) -> tuple[Node]:
        under = g.add([g.number(1.0), g.multiply([g.number(sign), a, a])])
        return (g.call("divide", g.number(factor), g.call("sqrt", under)),)

    return partial


def _atan2(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
    square = g.add([g.multiply([a, a]), g.multiply([b, b])])
    return g.call("divide", b, square), g.multiply([g.number(-1.0), g.call("divide", a, square)])


def _one_plus(g: Graph, sign: float, a: Node) -> Node:
    return g.add([g.number(1.0), g.multiply([g.number(sign), a, a])])


PARTIALS: Final[Mapping[str, Callable[..., tuple[Node | None, ...]]]] = {
    "divide": _divide,
    "power": _power,
    "abs": _sign,
    "min": _chosen("less_equal"),
    "max": _chosen("greater_equal"),
    "sqrt": lambda g, node, a: (g.call("divide", g.number(0.5), node),),
    "exp": lambda g, node, a: (node,),
    "ln": lambda g, node, a: (g.call("divide", g.number(1.0), a),),
    "sin": lambda g, node, a: (g.call("cos", a),),
    "cos": lambda g, node, a: (g.multiply([g.number(-1.0), g.call("sin", a)]),),
    "tan": lambda g, node, a: (_one_plus(g, 1.0, node),),
    "sinh": lambda g, node, a: (g.call("cosh", a),),
    "cosh": lambda g, node, a: (g.call("sinh", a),),
    "tanh": lambda g, node, a: (_one_plus(g, -1.0, node),),
    "asin": _over_root(1.0, -1.0),
    "acos": _over_root(-1.0, -1.0),
    "atan": lambda g, node, a: (g.call("divide", g.number(1.0), _one_plus(g, 1.0, a)),),
    "atan2": _atan2,
    "erf": lambda g, node, a: (
        g.multiply([g.number(2 / math.sqrt(math.pi)), g.call("exp", g.multiply([g.number(-1.0), a, a]))]),
    ),
}
"""Derivatives of every operation by its operands, from the graph, the node and the operands."""

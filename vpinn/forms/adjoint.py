"""Differentiation of expression graphs; the derivatives are nodes of the same graph.

`derivatives` differentiates by other nodes of the graph (reverse mode), `jet_slopes` by all values and derivatives of functions,
`slope` by a coordinate (forward mode).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from vpinn.errors import InputError
from vpinn.forms.graph import NUMBER, PRODUCT, SLOT, SUM, Geometry, Given, Graph, Jet, Node, Slot


def derivatives(graph: Graph, output: Node, inputs: Sequence[Node]) -> list[Node]:
    """Return ∂output/∂input for every input, in reverse mode; zero if the output does not depend on the input.

    At a kink the derivative is that of the branch that a conditional takes, and 0 for |·| at 0.

    Args:
        graph: graph of all nodes; the derivatives are added to it.
        output: node to differentiate.
        inputs: nodes to differentiate by.

    Raises:
        InputError: a power with a non-positive constant base has a varying exponent.
    """
    wanted = set(inputs)
    leading = _leading(graph, output, wanted)
    bars: dict[Node, list[Node]] = {output: [graph.number(1.0)]}
    for node in reversed(leading):
        bar = graph.add(bars.get(node, []))
        bars[node] = [bar]
        if graph.is_zero(bar):
            continue
        for operand, share in _shares(graph, node, bar):
            bars.setdefault(operand, []).append(share)
    return [graph.add(bars.get(node, [])) for node in inputs]


def jet_slopes(graph: Graph, nodes: Iterable[Node], functions: Container[int]) -> dict[tuple[int, Jet], Node]:
    """Return the derivatives of nodes by the jets (values and derivatives) of some functions, without those that are zero.

    Args:
        graph: graph of the nodes; the derivatives are added to it.
        nodes: nodes to differentiate.
        functions: UFL counts of the functions.

    Returns:
        (position of the node, jet) → derivative.
    """
    outputs = list(nodes)
    jets = [slot for slot in graph.slots(outputs) if isinstance(slot, Jet) and slot.function in functions]
    inputs = [graph.slot(jet) for jet in jets]
    return {
        (number, jet): slope
        for number, node in enumerate(outputs)
        for jet, slope in zip(jets, derivatives(graph, node, inputs), strict=True)
        if not graph.is_zero(slope)
    }


def slope(graph: Graph, output: Node, direction: int) -> Node:
    """Return the partial derivative of a node by a coordinate, in forward mode.

    Normals and cell sizes count as constant. Kinks are treated as in ``derivatives``. Derivatives of nodes are stored in
    ``graph.slopes`` and used again.

    Args:
        graph: graph of all nodes; the derivative is added to it.
        output: node to differentiate.
        direction: coordinate, counted from 0.
    """
    known, zero = graph.slopes, graph.number(0.0)
    for node in graph.between(output, direction):
        if (node, direction) not in known:
            operation, *operands = graph.nodes[node]
            if operation == SLOT:
                known[node, direction] = _slope_of_slot(graph, operands[0], direction)
            else:
                known[node, direction] = _chain(graph, node, [known.get((o, direction), zero) for o in operands])
    return known.get((output, direction), zero)


def _slope_of_slot(graph: Graph, slot: Slot, direction: int) -> Node:
    if isinstance(slot, Jet):
        return graph.slot(Jet(slot.function, slot.component, tuple(sorted((*slot.derivative, direction)))))
    if isinstance(slot, Given):
        return graph.slot(Given(slot.name, slot.values, tuple(sorted((*slot.derivative, direction)))))
    return graph.number(float(slot == Geometry("x", direction)))


def _chain(graph: Graph, node: Node, slopes: Sequence[Node]) -> Node:
    """Return the derivative of a node from those of its operands."""
    operation, *operands = graph.nodes[node]
    zero = graph.number(0.0)
    if all(slope == zero for slope in slopes):
        return zero
    if operation == SUM:
        return graph.add(slopes)
    if operation == PRODUCT:
        factors = [operands[:k] + operands[k + 1 :] for k in range(len(operands))]
        return graph.add(graph.multiply([*rest, s]) for rest, s in zip(factors, slopes, strict=True) if s != zero)
    if operation == "where":
        return graph.call("where", operands[0], *slopes[1:])
    if operation not in PARTIALS:
        return zero
    partials = zip(PARTIALS[operation](graph, node, *operands), slopes, strict=True)
    return graph.add(graph.multiply([p, s]) for p, s in partials if p is not None and s != zero)


def _leading(graph: Graph, output: Node, inputs: set[Node]) -> list[Node]:
    """Return the nodes that depend on an input and that the output depends on, operands first, without the inputs."""
    depends: set[Node] = set(inputs)
    between = []
    for node in graph.reachable([output]):
        if node not in inputs and graph.nodes[node][0] not in (NUMBER, SLOT) and depends & set(graph.nodes[node][1:]):
            depends.add(node)
            between.append(node)
    return between


def _shares(graph: Graph, node: Node, bar: Node) -> Iterator[tuple[Node, Node]]:
    """Yield every operand of a node with what the node adds to the operand's cotangent; ``bar`` is the node's cotangent."""
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
        raise InputError(f"the power of {g.value(a):g} to a varying exponent has no derivative; use a positive base")
    return by_base, g.multiply([node, g.call("ln", a)])


def _chosen(comparison: str) -> Callable[[Graph, Node, Node, Node], tuple[Node, Node]]:
    """Return the partial derivatives of a minimum or maximum: 1 for the operand that is chosen, else 0."""

    def partials(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
        taken = g.call(comparison, a, b)
        one, zero = g.number(1.0), g.number(0.0)
        return g.call("where", taken, one, zero), g.call("where", taken, zero, one)

    return partials


def _sign(g: Graph, node: Node, a: Node) -> tuple[Node]:
    zero = g.number(0.0)
    negative = g.call("where", g.call("less", a, zero), g.number(-1.0), zero)
    return (g.call("where", g.call("greater", a, zero), g.number(1.0), negative),)


def _over_root(factor: float) -> Callable[[Graph, Node, Node], tuple[Node]]:
    """Return the partial derivative factor/√(1 − a²)."""

    def partial(g: Graph, node: Node, a: Node) -> tuple[Node]:
        return (g.call("divide", g.number(factor), g.call("sqrt", _one_plus(g, -1.0, a))),)

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
    "asin": _over_root(1.0),
    "acos": _over_root(-1.0),
    "atan": lambda g, node, a: (g.call("divide", g.number(1.0), _one_plus(g, 1.0, a)),),
    "atan2": _atan2,
    "erf": lambda g, node, a: (
        g.multiply([g.number(2 / math.sqrt(math.pi)), g.call("exp", g.multiply([g.number(-1.0), a, a]))]),
    ),
}
"""Operation → function of graph, node and operands that returns the derivatives by the operands (None: not needed)."""

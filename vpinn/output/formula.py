"""The problem's form as readable text, after UFL has carried out derivatives and inserted constants.

``vpinn check`` prints it, so that users can compare what is integrated with what they meant. Long parts that occur more than once
are written once, under a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vpinn.forms import Geometry, Given, Graph, Jet, Node, Slot, build, components, integrals
from vpinn.output.formats import component_names
from vpinn.problem import Problem

LONGEST = 1_500
"""Number of characters after which a formula is cut off."""
SHARED = 24
"""Number of characters above which a part that occurs more than once gets a name."""
_INFIX = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def lowered_form(problem: Problem) -> list[str]:
    """Return one text per integral or equation of the problem's form, with derivatives carried out and constants inserted.

    A text such as ``dx: 0.5*du/dx^2 + 0.5*du/dy^2 - u`` may be followed by lines ``  where a1 = …`` for parts with a name.
    """
    names = _names(problem)
    coordinates = problem.domain.axes
    parts = [
        (part.region.symbol + "".join(f"('{problem.tags[i]}')" for i in part.tags) + ":", part.integrand)
        for part in integrals(problem.formulation.integrals)
    ]
    parts += [(f"{load.told}:", part.integrand) for load in problem.loads for part in integrals(load.formulation.integrals)]
    parts += [("0 =", part) for equation in problem.formulation.equations for part in components(equation)]
    texts = []
    for label, expression in parts:
        graph = Graph()
        formula, named = Formula(graph, names, coordinates).text(build(graph, expression))
        lines = [f"{label} {formula}", *(f"  where {name} = {part}" for name, part in named.items())]
        texts.append(_shortened("\n".join(lines)))
    return texts


class Formula:
    """Writes nodes of an expression graph as infix formulas.

    Args:
        graph: The expression graph.
        names: Number of a function (see `Jet.function`) → names of its components.
        coordinates: Names of the coordinates.
    """

    def __init__(self, graph: Graph, names: Mapping[int, Sequence[str]], coordinates: Sequence[str]) -> None:
        self._graph = graph
        self._names = names
        self._coordinates = coordinates

    def text(self, root: Node) -> tuple[str, dict[str, str]]:
        """Return the formula of a node, and the parts that it refers to by name (name → formula).

        Since shared parts are written once, the length of all formulas together is linear in the size of the graph.
        """
        graph = self._graph
        uses: dict[Node, int] = {}
        reachable = graph.reachable([root])
        for node in reachable:
            for operand in self._operands(node):
                uses[operand] = uses.get(operand, 0) + 1
        done: dict[Node, tuple[str, int]] = {}
        named: dict[str, str] = {}
        for node in reachable:
            written, strength = self._write(node, done)
            if uses.get(node, 0) > 1 and len(written) > SHARED:
                name = f"a{len(named) + 1}"
                named[name] = written
                written, strength = name, _ATOM
            done[node] = written, strength
        return done[root][0], named

    def _operands(self, node: Node) -> tuple[Node, ...]:
        operation, *rest = self._graph.nodes[node]
        return () if operation in ("number", "slot") else tuple(rest)

    def _write(self, node: Node, done: Mapping[Node, tuple[str, int]]) -> tuple[str, int]:
        """Return the formula of a node from those of its operands, and its binding strength (`_SUM` to `_ATOM`)."""
        operation, *rest = self._graph.nodes[node]
        if operation == "number":
            return f"{rest[0]:.10g}", _ATOM if rest[0] >= 0 else _PRODUCT
        if operation == "slot":
            return self._slot(rest[0]), _ATOM

        def operand(index: int, least: int) -> str:
            text, strength = done[rest[index]]
            return text if strength >= least else f"({text})"

        if operation == "sum":
            return " + ".join(operand(i, _SUM) for i in range(len(rest))).replace("+ -", "- "), _SUM
        if operation == "product":
            return self._product(rest, done), _PRODUCT
        if operation == "divide":
            return f"{operand(0, _PRODUCT)}/{operand(1, _POWER)}", _PRODUCT
        if operation == "power":
            return f"{operand(0, _ATOM)}^{operand(1, _ATOM)}", _POWER
        if operation in _INFIX:
            return f"{operand(0, _SUM)} {_INFIX[operation]} {operand(1, _SUM)}", _SUM
        name = {"where": "conditional"}.get(operation, operation)
        return f"{name}({', '.join(operand(i, _SUM) for i in range(len(rest)))})", _ATOM

    def _product(self, factors: Sequence[Node], done: Mapping[Node, tuple[str, int]]) -> str:
        """Return a product with its numbers first and repeated factors as powers."""
        powers: dict[Node, int] = {}
        for factor in sorted(factors, key=lambda node: not self._graph.is_number(node)):
            powers[factor] = powers.get(factor, 0) + 1
        parts = []
        for node, power in powers.items():
            text, strength = done[node]
            needed = _PRODUCT if power == 1 else _ATOM
            text = text if strength >= needed else f"({text})"
            parts.append(text if power == 1 else f"{text}^{power}")
        joined = "*".join(parts)
        return joined.replace("-1*", "-", 1) if joined.startswith("-1*") else joined

    def _slot(self, slot: Slot) -> str:
        if isinstance(slot, Geometry):
            if slot.name == "x":
                return self._coordinates[slot.index]
            return f"n{self._coordinates[slot.index]}" if slot.name == "n" else slot.name
        assert isinstance(slot, Jet | Given)
        component = slot.name if isinstance(slot, Given) else self._names[slot.function][slot.component]
        if not slot.derivative:
            return component
        order = "" if len(slot.derivative) == 1 else f"^{len(slot.derivative)}"
        return f"d{order}{component}/" + "".join(f"d{self._coordinates[i]}" for i in slot.derivative)


def _names(problem: Problem) -> dict[int, list[str]]:
    """Return number of a function → names of its components: unknowns, their time derivatives, test functions and time.

    The value of u in the second group of cells of an interface is written far(u).
    """
    names = {} if problem.clock is None else {problem.clock.t.count(): ["t"]}
    for unknown in problem.unknowns:
        names[unknown.function.count()] = component_names(unknown.name, unknown.shape)
        for rate, text in zip(unknown.rates, (f"dt({unknown.name})", f"dt(dt({unknown.name}))"), strict=False):
            names[rate.count()] = [text] if not unknown.shape else [f"{text}[{k}]" for k in range(unknown.components)]
        names[-1 - (unknown.test.part() or 0)] = component_names(unknown.test_name, unknown.shape)
        if unknown.far is not None and unknown.far_test is not None:
            names[unknown.far.count()] = component_names(f"far({unknown.name})", unknown.shape)
            names[-1 - (unknown.far_test.part() or 0)] = component_names(f"far({unknown.test_name})", unknown.shape)
    for one in () if problem.inverse is None else problem.inverse.inferred:
        names[one.symbol.count()] = [f"s_{one.name}"]
    return names


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} characters more)"

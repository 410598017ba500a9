"""Scalar expression graphs, which separate static nodes (they depend on the points alone) from nodes that change in training.

A node is a tuple ``(operation, operand, …)``. Equal nodes are stored once (hash-consing) and operations on numbers are carried
out (constant folding). Nested sums and products are flattened, so that all static factors of a product become one node, which
is evaluated once per set of points instead of in every step. Start with `Graph`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final, TypeAlias

from vpinn.errors import InputError
from vpinn.forms.operations import folded
from vpinn.problem.symbols import Field

Node: TypeAlias = int
"""Position of a node in its graph; operands stand before the node that uses them."""

NUMBER: Final = "number"
SLOT: Final = "slot"
SUM: Final = "sum"
PRODUCT: Final = "product"

WIDEST: Final = 1_000
"""Largest number of operands of a flattened sum or product; without a limit, shared parts could make it exponentially long."""


@dataclass(frozen=True)
class Geometry:
    """An input that depends on the point alone.

    Attributes:
        name: "x" for a coordinate, "n" for a component of the normal, "h" for the cell diameter, or "cell …" or "facet …" for the
            indicator of a tag (see ``vpinn.forms.background.tag``).
        index: coordinate of "x" and "n", counted from 0.
    """

    name: str
    index: int = 0


@dataclass(frozen=True)
class Jet:
    """An input that is a component of a function, or of one of its derivatives, at the point.

    Attributes:
        function: count of the UFL coefficient (≥ 0); for test functions ``-1 - part``.
        component: component of the function's value, counted from 0.
        derivative: coordinates by which it is differentiated, sorted; () for the value.
    """

    function: int
    component: int = 0
    derivative: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[int, tuple[int, ...]]:
        """Component and derivative, the key of this jet in the dictionary that ``Network.jets`` returns."""
        return self.component, self.derivative


@dataclass(frozen=True)
class Parameter:
    """A trained number that is the same at every point (an enrich coefficient); in UFL a component of a Constant.

    Attributes:
        index: its position among these numbers, ≥ 0.
    """

    index: int

    @property
    def key(self) -> tuple[int, tuple[int, ...]]:
        """Key of this number among the jets of a network: the negative component −1 − index."""
        return -1 - self.index, ()


@dataclass(frozen=True)
class Given:
    """An input that is a known field, or one of its derivatives, at the point.

    Attributes:
        name: what messages call it.
        values: the field.
        derivative: coordinates by which it is differentiated, sorted; () for the value.
    """

    name: str
    values: Field
    derivative: tuple[int, ...] = ()


Slot: TypeAlias = Geometry | Jet | Parameter | Given


@dataclass
class Graph:
    """Nodes of scalar expressions, each stored once.

    Attributes:
        varying: functions (see ``Jet.function``) whose jets change during training.
        nodes: operation and operands of every node.
        static: for every node, whether it depends on the points alone.
        slopes: derivatives computed so far, by node and coordinate.
        depends: for every node the coordinates by which its derivative may differ from zero, as bits; −1 for all of them.
        defined: nodes of expressions for which functions stand, by function and expression.
    """

    varying: frozenset[int] = frozenset()
    nodes: list[tuple[Any, ...]] = field(default_factory=list)
    static: list[bool] = field(default_factory=list)
    slopes: dict[tuple[Node, int], Node] = field(default_factory=dict)
    depends: list[int] = field(default_factory=list)
    defined: dict[Any, Node] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], Node] = field(default_factory=dict)

    def _intern(self, node: tuple[Any, ...], static: bool) -> Node:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
            self.static.append(static)
            self.depends.append(self._coordinates(node))
        return self._known[node]

    def _coordinates(self, node: tuple[Any, ...]) -> int:
        """Return the coordinates on which a node depends, as bits."""
        operation, *operands = node
        if operation == NUMBER:
            return 0
        if operation == SLOT:
            slot = operands[0]
            if isinstance(slot, Geometry):
                return 1 << slot.index if slot.name == "x" else 0
            return 0 if isinstance(slot, Parameter) else -1
        return reduce(or_, (self.depends[operand] for operand in operands), 0)

    def between(self, output: Node, direction: int) -> list[Node]:
        """Return the nodes that the output depends on, and that depend on a coordinate or on a function, operands first."""
        seen: set[Node] = set()
        stack = [output]
        while stack:
            node = stack.pop()
            if node not in seen and self.depends[node] >> direction & 1:
                seen.add(node)
                if self.nodes[node][0] != SLOT:
                    stack.extend(self.nodes[node][1:])
        return sorted(seen)

    def is_number(self, node: Node) -> bool:
        """Return whether the node is a plain number."""
        return bool(self.nodes[node][0] == NUMBER)

    def value(self, node: Node) -> float:
        """Return the value of a number node."""
        return float(self.nodes[node][1])

    def is_zero(self, node: Node) -> bool:
        """Return whether the node is the number zero."""
        return self.is_number(node) and self.value(node) == 0.0

    def number(self, value: float) -> Node:
        """Return the node of a plain number."""
        return self._intern((NUMBER, float(value)), True)

    def slot(self, slot: Slot) -> Node:
        """Return the node of an input."""
        varies = isinstance(slot, Parameter) or (isinstance(slot, Jet) and slot.function in self.varying)
        return self._intern((SLOT, slot), not varies)

    def add(self, operands: Iterable[Node]) -> Node:
        """Return the node of a sum, with numbers added up and static terms gathered into one node."""
        constant, fixed, moving = self._flatten(SUM, operands, 0.0, lambda a, b: a + b)
        return self._gather(SUM, constant, fixed, moving, 0.0)

    def multiply(self, operands: Iterable[Node]) -> Node:
        """Return the node of a product, with numbers multiplied and static factors gathered into one node; 0 if a number is 0."""
        constant, fixed, moving = self._flatten(PRODUCT, operands, 1.0, lambda a, b: a * b)
        return self.number(0.0) if constant == 0.0 else self._gather(PRODUCT, constant, fixed, moving, 1.0)

    def _flatten(
        self, kind: str, operands: Iterable[Node], unit: float, fold: Callable[[float, float], float]
    ) -> tuple[float, list[Node], list[Node]]:
        constant = unit
        fixed: list[Node] = []
        moving: list[Node] = []
        stack = list(operands)[::-1]
        while stack:
            node = stack.pop()
            operation, *rest = self.nodes[node]
            if operation == kind and len(stack) + len(fixed) + len(moving) + len(rest) <= WIDEST:
                stack.extend(rest[::-1])
            elif operation == NUMBER:
                constant = fold(constant, rest[0])
            else:
                (fixed if self.static[node] else moving).append(node)
        return constant, fixed, moving

    def _gather(self, kind: str, constant: float, fixed: list[Node], moving: list[Node], unit: float) -> Node:
        if constant != unit or not (fixed or moving):
            fixed = [self.number(constant), *sorted(fixed)]
        if not moving:
            return fixed[0] if len(fixed) == 1 else self._intern((kind, *sorted(fixed)), True)
        if len(fixed) > 1:
            fixed = [self._intern((kind, *sorted(fixed)), True)]
        operands = [*fixed, *sorted(moving)]
        return operands[0] if len(operands) == 1 else self._intern((kind, *operands), False)

    def call(self, operation: str, *operands: Node) -> Node:
        """Return the node of an operation of ``TORCH``, simplified where operands are numbers.

        Raises:
            InputError: a division by the number zero, or an operation on numbers without a finite value.
        """
        if operation == "where" and self.is_number(operands[0]):
            return operands[1] if self.value(operands[0]) else operands[2]
        if all(map(self.is_number, operands)):
            return self._fold(operation, [self.value(i) for i in operands])
        if operation in ("and", "or") and any(map(self.is_number, operands)):
            known, other = sorted(operands, key=self.is_number, reverse=True)
            return other if bool(self.value(known)) == (operation == "and") else known
        if operation == "divide":
            if self.is_zero(operands[0]):
                return operands[0]
            if self.is_number(operands[1]):
                if self.value(operands[1]) == 0.0:
                    raise InputError("an expression divides by the constant zero; change its constants")
                return self.multiply([operands[0], self.number(1.0 / self.value(operands[1]))])
        if operation == "power" and self.is_number(operands[1]):
            exponent = self.value(operands[1])
            if exponent in (0.0, 1.0, 2.0, 3.0):
                return self.multiply([operands[0]] * int(exponent))
        return self._intern((operation, *operands), all(self.static[i] for i in operands))

    def _fold(self, operation: str, values: list[float]) -> Node:
        value = folded(operation, values)
        if not math.isfinite(value):
            shown = ", ".join(f"{value:g}" for value in values)
            raise InputError(f"{operation}({shown}) has no finite value; change the constants of that expression")
        return self.number(value)

    def substitute(self, outputs: Iterable[Node], values: Mapping[Slot, float]) -> list[Node]:
        """Return the outputs with some slots replaced by numbers, and simplified."""
        images: dict[Node, Node] = {}
        for node in self.reachable(outputs):
            operation, *rest = self.nodes[node]
            if operation == NUMBER:
                images[node] = node
            elif operation == SLOT:
                images[node] = self.number(values[rest[0]]) if rest[0] in values else node
            else:
                operands = [images[i] for i in rest]
                if operation == SUM:
                    images[node] = self.add(operands)
                elif operation == PRODUCT:
                    images[node] = self.multiply(operands)
                else:
                    images[node] = self.call(operation, *operands)
        return [images[i] for i in outputs]

    def reachable(self, outputs: Iterable[Node]) -> list[Node]:
        """Return the nodes that the outputs depend on, operands first."""
        seen: set[Node] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if self.nodes[node][0] not in (NUMBER, SLOT):
                    stack.extend(self.nodes[node][1:])
        return sorted(seen)

    def slots(self, outputs: Iterable[Node]) -> list[Slot]:
        """Return the inputs that the outputs depend on."""
        return [self.nodes[i][1] for i in self.reachable(outputs) if self.nodes[i][0] == SLOT]

"""Tapes: nodes of an expression graph compiled to lists of instructions, which torch carries out for all points at once.

A tape has two programs. The first computes all values that depend on the points alone, and runs once per set of points; the
second computes the outputs from these and from the unknowns, and runs in every step. Start with `compile_tape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vpinn.forms.graph import NUMBER, PRODUCT, SLOT, SUM, Graph, Node, Slot
from vpinn.forms.operations import CONDITIONS, FIXED, TORCH, Value


@dataclass(frozen=True)
class Program:
    """A list of instructions on registers: the first registers are the inputs, and every instruction fills one more.

    Attributes:
        inputs: nodes whose values are the inputs.
        instructions: function and operand registers of each; a negative register ``-1 - k`` is the number ``constants[k]``.
        constants: plain numbers.
        outputs: registers of the results.
    """

    inputs: tuple[Node, ...]
    instructions: tuple[tuple[Callable[..., Value], tuple[int, ...]], ...]
    constants: tuple[float, ...]
    outputs: tuple[int, ...]

    def __call__(self, inputs: Sequence[Value]) -> list[Value]:
        """Carry out the instructions; ``inputs`` are tensors [n] or numbers, and so are the outputs."""
        registers: list[Value] = list(inputs)
        constants = self.constants
        for function, operands in self.instructions:
            registers.append(function(*[registers[i] if i >= 0 else constants[-1 - i] for i in operands]))
        return [registers[i] if i >= 0 else constants[-1 - i] for i in self.outputs]


@dataclass(frozen=True)
class Tape:
    """Compiled expressions.

    Attributes:
        fixed: program from geometry and known functions to all values, needed by ``moving``, that depend on the points alone.
        moving: program from these values, followed by the jets of the unknowns, to the outputs.
        fixed_slots: inputs of ``fixed``.
        moving_slots: jets of the unknowns that are inputs of ``moving``, after the values of ``fixed``.
    """

    fixed: Program
    moving: Program
    fixed_slots: tuple[Slot, ...]
    moving_slots: tuple[Slot, ...]


def compile_tape(graph: Graph, outputs: Sequence[Node]) -> Tape:
    """Compile nodes of a graph into a tape that returns them in order."""
    return compile_tapes(graph, [outputs])[0]


def compile_tapes(graph: Graph, groups: Sequence[Sequence[Node]]) -> list[Tape]:
    """Compile groups of nodes into one tape each; the tapes share the program ``fixed`` and its values."""
    outputs = [node for group in groups for node in group]
    nodes = graph.reachable(outputs)
    frontier = {
        i
        for node in nodes
        if not graph.static[node] and graph.nodes[node][0] != SLOT
        for i in graph.nodes[node][1:]
        if graph.static[i] and not graph.is_number(i)
    }
    frontier |= {i for i in outputs if graph.static[i] and not graph.is_number(i)}
    edge = sorted(frontier)
    fixed_nodes = graph.reachable(edge)
    fixed_inputs = [i for i in fixed_nodes if graph.nodes[i][0] == SLOT]
    fixed = _program(graph, fixed_inputs, fixed_nodes, edge, FIXED)
    tapes = []
    for group in groups:
        moving = [i for i in graph.reachable(group) if not graph.static[i]]
        inputs = [i for i in moving if graph.nodes[i][0] == SLOT]
        program = _program(graph, [*edge, *inputs], moving, group, TORCH)
        slots = (tuple(graph.nodes[i][1] for i in part) for part in (fixed_inputs, inputs))
        tapes.append(Tape(fixed, program, *slots))
    return tapes


def _program(
    graph: Graph,
    inputs: Sequence[Node],
    nodes: Sequence[Node],
    outputs: Sequence[Node],
    functions: Mapping[str, Callable[..., Value]],
) -> Program:
    registers = {node: i for i, node in enumerate(inputs)}
    instructions: list[tuple[Callable[..., Value], tuple[int, ...]]] = []
    constants: list[float] = []

    def register(node: Node) -> int:
        if node not in registers:
            constants.append(graph.value(node))
            registers[node] = -len(constants)
        return registers[node]

    def emit(function: Callable[..., Value], *operands: int) -> int:
        instructions.append((function, operands))
        return len(inputs) + len(instructions) - 1

    for node in nodes:
        operation, *operands = graph.nodes[node]
        if node in registers or operation in (NUMBER, SLOT):
            continue
        if operation in (SUM, PRODUCT):
            function = _add if operation == SUM else _multiply
            first, *rest = (register(i) for i in operands)
            for other in rest:
                first = emit(function, first, other)
            registers[node] = first
        else:
            if operation == "where" and all(map(graph.is_number, operands[1:])):
                operands.append(_compared(graph, operands[0]))
            registers[node] = emit(functions[operation], *(register(i) for i in operands))
    results = tuple(register(i) for i in outputs)
    return Program(tuple(inputs), tuple(instructions), tuple(constants), results)


def _compared(graph: Graph, condition: Node) -> Node:
    """Return a value that a condition compares, static if the condition is static; it has the precision of a ``where``."""
    while graph.nodes[condition][0] in CONDITIONS:
        operands = [i for i in graph.nodes[condition][1:] if not graph.is_number(i)]
        condition = next((i for i in operands if graph.static[i] == graph.static[condition]), operands[0])
    return condition


def _add(a: Value, b: Value) -> Value:
    return a + b


def _multiply(a: Value, b: Value) -> Value:
    return a * b

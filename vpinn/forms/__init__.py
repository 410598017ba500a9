"""Forms: UFL expressions → scalar graphs → tapes that torch evaluates at all points at once.

In goes a UFL form or expression; out comes a `Tape`, a list of instructions on tensors with one entry per point.

`operations` (the functions that graphs and tapes know) → `graph` (scalar expression graphs, which separate what changes in
training from what does not) → `adjoint` (derivatives of graph nodes, as nodes) → `indices`, `lowering` (UFL → graph, split by
test function) → `tape` (graph → instructions). `separation` splits nodes into factors of parameters and others. `background`
evaluates the nodes that depend on the points alone, such as coordinates, normals and given functions.
"""

from vpinn.forms.adjoint import derivatives, jet_slopes
from vpinn.forms.background import Background, RunNumber, evaluate, tag
from vpinn.forms.graph import Geometry, Given, Graph, Jet, Node, Parameter, Slot
from vpinn.forms.lowering import Integral, build, integrals, lower, split
from vpinn.forms.operations import Value
from vpinn.forms.separation import separate
from vpinn.forms.tape import Tape, compile_tape, compile_tapes
from vpinn.problem.symbols import Field, components

__all__ = [
    "Background",
    "Field",
    "Geometry",
    "Given",
    "Graph",
    "Integral",
    "Jet",
    "Node",
    "Parameter",
    "RunNumber",
    "Slot",
    "Tape",
    "Value",
    "build",
    "compile_tape",
    "compile_tapes",
    "components",
    "derivatives",
    "evaluate",
    "integrals",
    "jet_slopes",
    "lower",
    "separate",
    "split",
    "tag",
]

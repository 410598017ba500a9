"""Forms: UFL expressions → scalar graphs → tapes that torch evaluates for all points at once.

`lowering` (UFL → graph, test functions split off) → `graph` (folding, what varies) → `tape` (instructions) ;
`operations` (what both know) ; `adjoint` (derivatives of nodes) ; `background` supplies what the points alone fix.
"""

from vpinn.forms.adjoint import derivatives
from vpinn.forms.background import Background, Field, evaluate, tag
from vpinn.forms.graph import Geometry, Graph, Jet, Node, Parameter, Slot
from vpinn.forms.lowering import Integral, build, integrals, lower, split
from vpinn.forms.operations import Value
from vpinn.forms.tape import Program, Tape, compile_tape, compile_tapes
from vpinn.problem.symbols import components

__all__ = [
    "Background",
    "Field",
    "Geometry",
    "Graph",
    "Integral",
    "Jet",
    "Node",
    "Parameter",
    "Program",
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
    "lower",
    "split",
    "tag",
]

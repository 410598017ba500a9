"""problem: a problem file, or the same statement in Python → `Problem`.

    file ─ read_source ─ validate ─┐
                                   ├─ build_problem → Problem
    make_problem(…) ───── validate ┘

``source`` reads text and remembers the line of every key, ``schema`` and ``numerics`` describe the sections,
``expression`` turns text into UFL by an allowlist, ``formulation`` says what a form means,
``checks`` whether it can. Every mistake is an `InputError` of one line with its place.
"""

from vpinn.problem.evaluable import Evaluable
from vpinn.problem.expression import parse_expression, parse_form
from vpinn.problem.formulation import FORMULATIONS, Energy, Formulation, Strong, Weak
from vpinn.problem.in_time import check_settings_in_time, output_times, refuse_time, stated_in
from vpinn.problem.nodal import refuse_nodal
from vpinn.problem.problem import Condition, Problem
from vpinn.problem.reader import make_problem, read_problem
from vpinn.problem.restraints import Bound, Load, Support
from vpinn.problem.schema import Settings, schema_json
from vpinn.problem.scope import Scope, make_scope
from vpinn.problem.symbols import Symbols, make_symbols
from vpinn.problem.template import template
from vpinn.problem.time import Clock, InitialState, frozen
from vpinn.problem.unknown import Unknown
from vpinn.problem.worked import Worked, copy_worked, worked_problems

__all__ = [
    "FORMULATIONS",
    "Bound",
    "Clock",
    "Condition",
    "Energy",
    "Evaluable",
    "Formulation",
    "InitialState",
    "Load",
    "Problem",
    "Scope",
    "Settings",
    "Strong",
    "Support",
    "Symbols",
    "Unknown",
    "Weak",
    "Worked",
    "check_settings_in_time",
    "copy_worked",
    "frozen",
    "make_problem",
    "make_scope",
    "make_symbols",
    "output_times",
    "parse_expression",
    "parse_form",
    "read_problem",
    "refuse_nodal",
    "refuse_time",
    "schema_json",
    "stated_in",
    "template",
    "worked_problems",
]

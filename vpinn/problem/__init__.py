"""Problem: from a problem file, or the same statement in Python, to a checked `Case`.

    file ─ read_source ─ validate ─┐
                                   ├─ build_problem → Case
    make_problem(…) ───── validate ┘

In goes TOML or Python values; out comes a `Case`: a `Problem` (domain, unknowns, UFL form, conditions: mathematics) with the
settings of its solution. Every mistake of the user raises an `InputError` of one line with its file, line and key.

1. `source` reads the text and remembers the line of every key. `schema` and `numerics` (with `section`, `network`,
   `output_section`) define the sections as models, by which `validation` checks; `places` finds line numbers, `locations` files
   and folders.
2. `symbols`, `scope`, `operators`, `arithmetic` → `expression`, `translation`: text → UFL, of permitted names and operations
   only, within the sizes of `limits`.
3. `unknown`, `formulation` (energy, weak, strong), `conditions`, `parts` (tags by conditions), `time`, `in_time`, `reference`,
   `values`, `answers` (further fields, integrals): what sections mean. `checks`: whether a form can be solved as it is stated;
   `mistakes`: what is wrong with all texts of a file together.
   `substitution` puts numbers and fields in place of functions; `instant` and `space_time` make steady problems of one in time.
4. `build` puts it together, `reader` holds `read_problem` and `make_problem`; start reading there.

`functions` lists what expressions may call; `template` and `worked` provide files to start from; `wording` phrases errors;
`typeset` writes equations for pages; `evaluable` is the interface of all solutions.
"""

from vpinn.problem.answers import Answers
from vpinn.problem.case import Case
from vpinn.problem.evaluable import Evaluable
from vpinn.problem.expression import parse_expression, parse_form
from vpinn.problem.formulation import FORMULATIONS, Energy, Strong, Weak
from vpinn.problem.functions import FUNCTIONS
from vpinn.problem.in_time import check_settings_in_time, is_marched, output_times, refuse_several, refuse_time, stated_in
from vpinn.problem.instant import frozen_formulation, steady_at
from vpinn.problem.interfaces import by_interface
from vpinn.problem.nodal import refuse_nodal
from vpinn.problem.parameters import Parameters, refuse_single
from vpinn.problem.periodic import matched
from vpinn.problem.problem import Condition, Problem, Stated
from vpinn.problem.reader import make_problem, read_problem
from vpinn.problem.restraints import Bound, Load, Support, Tie
from vpinn.problem.schema import Settings, schema_json
from vpinn.problem.scope import Scope, make_scope
from vpinn.problem.space_time import over_time
from vpinn.problem.substitution import member, substituted
from vpinn.problem.symbols import KnownFunction, make_symbols
from vpinn.problem.template import template
from vpinn.problem.time import Clock, frozen
from vpinn.problem.unknown import Unknown
from vpinn.problem.validation import unused_settings
from vpinn.problem.worked import copy_worked, worked_problems

__all__ = [
    "FORMULATIONS",
    "FUNCTIONS",
    "Answers",
    "Bound",
    "Case",
    "Clock",
    "Condition",
    "Energy",
    "Evaluable",
    "KnownFunction",
    "Load",
    "Parameters",
    "Problem",
    "Scope",
    "Settings",
    "Stated",
    "Strong",
    "Support",
    "Tie",
    "Unknown",
    "Weak",
    "by_interface",
    "check_settings_in_time",
    "copy_worked",
    "frozen",
    "frozen_formulation",
    "is_marched",
    "make_problem",
    "make_scope",
    "make_symbols",
    "matched",
    "member",
    "output_times",
    "over_time",
    "parse_expression",
    "parse_form",
    "read_problem",
    "refuse_nodal",
    "refuse_several",
    "refuse_single",
    "refuse_time",
    "schema_json",
    "stated_in",
    "steady_at",
    "substituted",
    "template",
    "unused_settings",
    "worked_problems",
]

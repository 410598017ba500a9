"""Enrich functions: known functions of the coordinates that a problem file adds to the trial functions."""

from __future__ import annotations

from ufl.algorithms.analysis import extract_type
from ufl.classes import CellDiameter, Expr

from vpinn.errors import InputError
from vpinn.problem.checks import check_known
from vpinn.problem.expression import parse_expression
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import fit_shape


def make_enrichment(settings: Settings, source: Source, scope: Scope, unknowns: tuple[Unknown, ...]) -> tuple[Expr, ...]:
    """Return the enrich functions: scalar expressions of the coordinates."""
    functions = []
    for number, text in enumerate(settings.network.enrich):
        with source.located("network", "enrich", number):
            function = fit_shape(parse_expression(text, scope), (), "an enrich function")
            check_known(function, unknowns, "an enrich function", normal=False)
            if extract_type(function, CellDiameter):
                raise InputError("an enrich function cannot contain the cell size h, which jumps between cells")
            functions.append(function)
    return tuple(functions)

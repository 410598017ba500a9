"""Settings → `Problem`: define names, translate expressions to UFL, check form and conditions; start with `build_problem`."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ufl.classes import Expr, Form
from ufl.measure import Measure

from vpinn.domain import Domain, with_vertices
from vpinn.errors import InputError
from vpinn.problem.answers import make_answers
from vpinn.problem.case import Case
from vpinn.problem.checks import check_known
from vpinn.problem.conditions import make_conditions
from vpinn.problem.constants import define_constants
from vpinn.problem.coverage import check_covered
from vpinn.problem.eigen import make_eigen
from vpinn.problem.enrichment import make_enrichment
from vpinn.problem.expression import parse_expression, parse_form
from vpinn.problem.formulation import FORMULATIONS, Formulation
from vpinn.problem.given_fields import make_fields
from vpinn.problem.in_time import check_settings_in_time, make_initial, refuse_conditions
from vpinn.problem.interfaces import BETWEEN, Sides, joined
from vpinn.problem.inverse import Inferred, make_inferred
from vpinn.problem.limits import check_size, check_work
from vpinn.problem.locations import load_domain, output_directory
from vpinn.problem.measurements import make_inverse
from vpinn.problem.mistakes import together
from vpinn.problem.nodal import NodalParts
from vpinn.problem.parameters import make_parameters
from vpinn.problem.parts import mark_parts
from vpinn.problem.periodic import make_periodic
from vpinn.problem.reference import given_reference
from vpinn.problem.restraints import Load
from vpinn.problem.schema import Settings, UnknownSection
from vpinn.problem.scope import AT, Scope, make_scope
from vpinn.problem.source import Source
from vpinn.problem.symbols import make_symbols, nameable
from vpinn.problem.time import Clock
from vpinn.problem.unknown import FAR, Unknown
from vpinn.problem.values import fit_shape, parse_value
from vpinn.problem.wording import closest

# A form in Python: names (a namespace of UFL objects) → a UFL form, or UFL expressions for a strong form.
PythonForm = Callable[[SimpleNamespace], Any]


class TaggedMeasure(Measure):
    """dx or ds for forms written in Python; ``ds("outlet")`` is the boundary part with the tag outlet."""

    __slots__ = ("_scope",)

    def __init__(self, name: str, scope: Scope) -> None:
        super().__init__(name, domain=scope.symbols.mesh)
        self._scope = scope

    def __call__(self, *tags: str) -> Measure:
        """Return the measure over the given tags."""
        return self._scope.measure(str(self).partition("(")[0], *tags)


def build_problem(
    source: Source,
    settings: Settings,
    folder: Path,
    domain: Domain | None = None,
    python_form: PythonForm | None = None,
) -> Case:
    """Translate and check every part of a problem.

    Args:
        source: text of the problem file with the line of every key, for messages.
        settings: validated sections.
        folder: folder of the problem file; relative paths start there and must stay below it.
        domain: domain to use instead of the [domain] section; None to make that.
        python_form: form in Python to use instead of the text in [form]; None for the text.

    Returns:
        The problem with its settings.

    Raises:
        InputError: a part of the problem is wrong; names it and its place, and has the mistakes in other texts.
    """
    if domain is None:
        if settings.domain is None:
            raise InputError("domain is missing; give a [domain] section with a mesh or a shape", source.place())
        with source.located("domain"):
            domain = load_domain(settings.domain, folder, source.mesh_root)
    symbols = make_symbols(domain.dimension)
    meshed = domain.mesh is not None
    scope = make_scope(symbols, meshed=meshed)
    check_settings_in_time(settings, source, domain)
    _check_numerics(settings, source, meshed)
    scope = define_constants(scope, settings, source, folder)
    domain, pieces = mark_parts(domain, settings, scope, source)
    scope = replace(
        scope,
        facet_tags=tuple(domain.facet_tags),
        cell_tags=tuple(domain.cell_tags),
        edge_tags=tuple(domain.mesh.edge_tags) if domain.mesh else (),
    )
    fields = make_fields(settings.fields, source, _timed(scope, settings), domain, folder)
    scope, inferred = make_inferred(settings.infer, source, fields)
    scope, parameters = make_parameters(settings, source, scope)
    scope, unknowns = _define(scope, settings, source)
    with together(settings, source, scope, unknowns, python_form is None):
        scope = _named(scope, settings, source)
        nodal = NodalParts(settings, source, scope, unknowns, domain)
        formulation, loads = nodal.split(_formulation(settings, source, scope, unknowns, python_form))
        domain = _carrying(domain, formulation, loads, unknowns, scope, source)
        exact = _exact(settings, source, scope, unknowns, inferred)
        reference = given_reference(settings, source, domain, folder, unknowns)
        with source.located("output", "directory"):
            default = f"results/{source.path.stem if source.path else 'problem'}"
            anywhere = source.path is None or source.place("output", "directory").startswith("--set")
            directory = output_directory(folder, settings.output.directory or default, anywhere)
        enrich = make_enrichment(settings, source, scope, unknowns)
        with source.located("network", "enrich"):
            check_work([*(part.integrand() for part in formulation.integrals.integrals()), *formulation.equations], enrich)
        boundary = make_conditions(settings, source, scope, unknowns, domain, pieces)
        refuse_conditions(scope, boundary, bool(loads))
        initial = make_initial(settings, source, scope, unknowns, formulation)
        eigen = make_eigen(settings, source, scope, unknowns, formulation, boundary)
        problem = Case(
            title=settings.title,
            domain=domain,
            settings=settings,
            symbols=symbols,
            unknowns=unknowns,
            formulation=formulation,
            boundary=boundary,
            enrich=enrich,
            exact={unknown.name: exact[unknown.name] for unknown in unknowns if unknown.name in exact},
            reference=reference,
            tags=scope.tags,
            directory=directory,
            source=source,
            clock=scope.clock,
            initial=initial,
            periodic=make_periodic(settings, source, domain, unknowns, boundary),
            eigen=eigen,
            bounds=nodal.bounds(boundary, pieces),
            supports=nodal.supports(),
            ties=nodal.ties(boundary, pieces),
            loads=loads,
            parameters=parameters,
            answers=make_answers(settings, source, scope, unknowns, domain),
        )
        return replace(problem, inverse=make_inverse(problem, scope, inferred, exact, folder))


def _carrying(
    domain: Domain, formulation: Formulation, loads: tuple[Load, ...], unknowns: tuple[Unknown, ...], scope: Scope, source: Source
) -> Domain:
    """Return the domain with the vertices and joints of loads, after checking that the form has terms on all of its cells."""
    if domain.mesh is None:
        return domain
    with source.located("form", formulation.name):
        check_covered(formulation, unknowns, domain.mesh, scope.tags)
    if not loads:
        return domain
    whole = with_vertices(domain.mesh, [float(load.carriers.ravel()[0]) for load in loads if load.carriers is not None])
    return replace(whole, joints=joined(loads, unknowns, source.place("form", formulation.name)))


def _exact(
    settings: Settings, source: Source, scope: Scope, unknowns: tuple[Unknown, ...], inferred: tuple[Inferred, ...]
) -> dict[str, Expr]:
    """Return unknown, or inferred number or field → its exact solution, for those that the problem file states."""
    exact: dict[str, Expr] = {}
    shapes: dict[str, tuple[int, ...]] = {unknown.name: unknown.shape for unknown in unknowns}
    shapes |= {one.name: () for one in inferred}
    for name, value in settings.reference.exact.items():
        with source.located("reference", "exact", name):
            if name not in shapes:
                raise InputError(f"{name!r} is not an unknown{closest(name, shapes)}")
            exact[name] = fit_shape(parse_value(value, scope), shapes[name], f"the unknown {name}")
            check_known(exact[name], unknowns, "an exact solution", normal=False)
    return exact


def _timed(scope: Scope, settings: Settings) -> Scope:
    """Return the scope with the time t if the problem depends on time, else the scope itself."""
    if settings.domain is None or settings.domain.time is None:
        return scope
    return scope.timed(Clock.of(settings.domain.time, scope.symbols))


def _define(scope: Scope, settings: Settings, source: Source) -> tuple[Scope, tuple[Unknown, ...]]:
    """Return the scope with unknowns and test functions, and the unknowns."""
    known = (settings.constants, settings.parameters, settings.fields, settings.infer, settings.unknowns, settings.expressions)
    taken = {name for section in known for name in section}
    unknowns: list[Unknown] = []
    for part, (name, section) in enumerate(settings.unknowns.items()):
        size, test_name = (section.shape, section.test) if isinstance(section, UnknownSection) else (section, None)
        if test_name is None:
            test_name = "v" if part == 0 and "v" not in taken else f"v_{name}"
        dimension = scope.symbols.dimension
        shape = (size,) if isinstance(size, int) else (dimension,) * (size == "vector")
        with source.located("unknowns", name):
            unknown = Unknown(name, test_name, shape, scope.symbols.coefficient(shape), scope.symbols.test_function(shape, part))
            scope = scope.define(name, unknown.function).define(test_name, unknown.test)
            if len(scope.cell_tags) > 1:
                far, far_test = scope.symbols.coefficient(shape), scope.symbols.test_function(shape, FAR + part)
                unknown = replace(unknown, far=far, far_test=far_test)
            if scope.clock is not None:
                clock = scope.clock.knowing(unknown.function, scope.symbols)
                scope, unknown = scope.timed(clock), replace(unknown, rates=clock.rates[unknown.function])
        unknowns.append(unknown)
    return scope, tuple(unknowns)


def _named(scope: Scope, settings: Settings, source: Source) -> Scope:
    """Return the scope with the named expressions."""
    for name, value in settings.expressions.items():
        with source.located("expressions", name):
            stated = parse_expression(str(value), scope) if isinstance(value, str) else parse_value(value, scope)
            scope = scope.define(name, scope.symbols.named(stated) if nameable(stated, scope.symbols) else stated)
    return scope


def _formulation(
    settings: Settings, source: Source, scope: Scope, unknowns: tuple[Unknown, ...], python_form: PythonForm | None
) -> Formulation:
    """Return the equation from text or from Python, after checking it."""
    kind, texts = FORMULATIONS[settings.form.formulation], settings.form.texts
    scope = scope if kind.pointwise else replace(scope, sides=Sides.of(unknowns, scope.symbols))
    stated: list[Form | Expr] = [] if python_form is None else _checked(python_form(_python_names(scope)), kind, len(scope.tags))
    for number, text in enumerate(texts if python_form is None else ()):
        with source.located("form", kind.name, *([number] if len(texts) > 1 else [])):
            stated.append(parse_expression(text, scope) if kind.pointwise else parse_form(text, scope))
    with source.located("form", kind.name):
        if scope.sides is not None:
            stated = [scope.sides.settled(form) for form in stated if isinstance(form, Form)]
        return kind.make(stated, unknowns, scope.symbols)


def _python_names(scope: Scope) -> SimpleNamespace:
    """Return the names that a form written in Python may use."""
    measures = {name: TaggedMeasure(name, scope) for name in ("dx", "ds", "dS")}
    time = {} if scope.clock is None else {"dt": scope.clock.derivative}
    sides = {} if scope.sides is None else {"jump": scope.sides.jump, "avg": scope.sides.average}
    return SimpleNamespace(**{**scope.names, **time, "x": scope.symbols.x, **measures, **sides, "delta": scope.point})


def _checked(given: Any, kind: type[Formulation], tags: int) -> list[Form | Expr]:
    """Return the form or the equations that a Python function returned, after checking them.

    Args:
        given: result of the function.
        kind: formulation.
        tags: number of tags of the domain.
    """
    if kind.pointwise:
        equations = list(given) if isinstance(given, list | tuple) else [given]
        if not equations or not all(isinstance(equation, Expr) for equation in equations):
            raise InputError(f"a {kind.name} form in Python returns UFL expressions, got {type(given).__name__}")
        for equation in equations:
            check_size(equation)
        return equations
    if not isinstance(given, Form) or not given.integrals():
        raise InputError(f"{kind.name} in Python returns a UFL form with an integral, got {type(given).__name__}")
    for integral in given.integrals():
        check_size(integral.integrand())
        number = integral.subdomain_id()
        if integral.integral_type() not in ("cell", "exterior_facet") and not {AT, BETWEEN} & integral.metadata().keys():
            raise InputError(f"integrals are over dx or ds, got {integral.integral_type()}")
        if number != "everywhere" and not (isinstance(number, int) and 0 <= number < tags):
            raise InputError(f"use the measures of the names passed in, as in names.ds('outlet'), got subdomain {number!r}")
    return [given]


def _check_numerics(settings: Settings, source: Source, meshed: bool) -> None:
    """Refuse numerical settings that would have no effect with this domain or formulation."""
    quadrature, kind = settings.quadrature, FORMULATIONS[settings.form.formulation]
    if not meshed and kind.tested:
        raise InputError(
            f"a {kind.name} form needs a mesh for its test functions; use energy or strong", source.place("form", kind.name)
        )
    if not meshed and (quadrature.rule == "gauss" or quadrature.degree is not None):
        key = "rule" if quadrature.rule == "gauss" else "degree"
        raise InputError("Gauss rules need a mesh; use monte-carlo or sobol with points", source.place("quadrature", key))
    if meshed and quadrature.points is not None:
        raise InputError(
            "quadrature.points is for a hypercube; on a mesh cells have those of a rule: give degree (Gauss rules) or refine",
            source.place("quadrature", "points"),
        )
    tested = kind.tested or (not kind.pointwise and meshed and settings.solver.method in ("auto", "least-squares"))
    if not tested and settings.test_space.model_fields_set:
        raise InputError(
            "test_space belongs to a weak form, or to an energy solved by least squares; leave it out", source.place("test_space")
        )

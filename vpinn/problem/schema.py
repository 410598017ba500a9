"""The sections of a problem file as validated models; their descriptions are the user's documentation (``vpinn schema``).

This module has the sections that state the problem, and `Settings`, the whole file; conditions are in `condition_sections`. The
sections that say how the problem is solved are in `vpinn.problem.numerics`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.batch import Batch
from vpinn.problem.condition_sections import Boundary, Obstacle, PeriodicSection, PointSection
from vpinn.problem.given_sections import FiniteElements, NumbersFile, WalkSection
from vpinn.problem.inverse import DataSection, InferSection
from vpinn.problem.learn import LearnSection
from vpinn.problem.network import NetworkSection
from vpinn.problem.numerics import Quadrature, Solver, TestSpaceSection
from vpinn.problem.output_section import Output
from vpinn.problem.parallel import Parallel
from vpinn.problem.parameters import Ranges
from vpinn.problem.section import Added, Count, Positive, Real, Section, Text, Value

Coordinates = Real | tuple[Real, ...]


class Domain(Section):
    """The domain: a mesh file, or a shape with its parameters."""

    mesh: Text | None = Field(None, description="Mesh file, relative to the problem file: Gmsh, Medit, VTK, XDMF, Abaqus, …")
    shape: (
        Literal["interval", "rectangle", "box", "disk", "l-shape", "hypercube", "ball", "space"]
        | Annotated[str, Added("shapes")]
        | None
    ) = Field(
        None,
        description="Built-in shape, instead of a mesh. A hypercube, a ball and all of space have any dimension and no cells.",
    )
    dimension: Count | None = Field(None, description="Number of coordinates of a hypercube, a ball or a space.")
    lower: Coordinates | None = Field(None, description="Lower corner; default zeros. interval, rectangle, box, hypercube.")
    upper: Coordinates | None = Field(
        None, description="Upper corner; default ones. A hypercube without dimension has as many as the list is long."
    )
    cells: Count | tuple[Count, ...] | None = Field(
        None,
        description="Number of cells along each axis (one number for all axes); on an l-shape per unit length, on a disk "
        "per radius.",
    )
    cell: Literal["triangle", "quadrilateral", "tetrahedron", "hexahedron"] | None = Field(None, description="Cell type.")
    center: tuple[Real, ...] | None = Field(None, description="Centre of a disk, a ball or a space; default zeros.")
    radius: Positive | None = Field(None, description="Radius of a disk or a ball; default 1.")
    spread: Positive | None = Field(
        None, description="Standard deviation of the normal points of a space, over which integrals are means; default 1."
    )
    time: tuple[Real, Real] | None = Field(
        None, description='Start and end of a problem in time t; the state at the start is a [[boundary]] with on = "initial".'
    )
    layers: Count | None = Field(
        None, description="Layers of cells in time, if not marched; default about as many as cells along an axis, at least 4."
    )
    tags: dict[Text, Text] = Field(
        {}, max_length=100, description="Groups of cells for dx('name'): the cells at whose centre the given condition holds."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.mesh is None) == (self.shape is None):
            raise ValueError("give exactly one of mesh and shape")
        if self.mesh is not None and (extra := sorted(self.model_fields_set - {"mesh", "tags", "time", "layers"})):
            raise ValueError(f"{', '.join(extra)} belongs to a shape; leave it out with a mesh")
        if self.time is not None and not self.time[0] < self.time[1]:
            raise ValueError(f"time ends after it starts, got {self.time[0]:g} to {self.time[1]:g}; write time = [start, end]")
        return self


class UnknownSection(Section):
    """The value shape of an unknown and the name of its test function."""

    shape: Literal["scalar", "vector"] | Count = Field(
        "scalar", description="'scalar', 'vector' (as many components as the domain has dimensions), or a number of components."
    )
    test: Text | None = Field(
        None, description="Name of the test function; default v for the first unknown, v_<name> for others."
    )


class Form(Section):
    """The equation: exactly one of energy, weak and strong, as UFL expressions."""

    energy: Text | None = Field(None, description="Energy to minimise, e.g. 0.5*inner(grad(u), grad(u))*dx - f*u*dx.")
    weak: Text | None = Field(
        None, description="Weak form that vanishes for every test function, e.g. inner(grad(u), grad(v))*dx - f*v*dx."
    )
    strong: Text | tuple[Text, ...] | None = Field(
        None, description='Expressions that vanish in the domain, e.g. ["-div(grad(u)) - f"]; one per component at least.'
    )

    @property
    def formulation(self) -> str:
        """The key that is given: "energy", "weak" or "strong"."""
        return next(key for key in Form.model_fields if getattr(self, key) is not None)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text that is given, equation by equation."""
        given: str | tuple[str, ...] = getattr(self, self.formulation)
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [key for key in Form.model_fields if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of energy, weak and strong, got {' and '.join(given) or 'none'}")
        if self.strong == ():
            raise ValueError("strong needs at least one equation")
        return self


class Eigen(Section):
    """An eigenproblem a(u, v) = λ m(u, v), whose left side is the weak form of [form]."""

    mass: Text = Field(description="The form m(u, v) of the right side, e.g. u*v*dx; symmetric, and not negative for u = v.")
    count: Annotated[int, Field(strict=True, ge=1, le=50)] = Field(6, description="How many eigenvalues are wanted, 1 to 50.")
    near: Real = Field(0.0, description="The eigenvalues nearest to this number are found.")


class FieldSection(Section):
    """A known coefficient from a file."""

    file: Text = Field(description="CSV file with columns x, y, … and the field; or VTU, XDMF with data at nodes or cells.")
    name: Text | None = Field(None, description="Name of the column or of the data; default that of the field.")


class Reference(Section):
    """Known values of the true solution, only for comparison; no solver uses them."""

    exact: dict[str, Value] = Field(default_factory=dict, description="Exact solution of each unknown as an expression.")
    file: Text | None = Field(None, description="CSV file of reference values with columns x, y, … and one for each unknown.")
    fem: FiniteElements | None = Field(
        None, description="Also solve the form with finite elements, and compare: { degree = 2, refine = 1 }."
    )
    walk: WalkSection | None = Field(None, description="Also measure the error by random walks: { points = 20 }.")


class Settings(Section):
    """A problem file. All sections except domain, unknowns and form have defaults."""

    title: str = Field("", max_length=1000, description="Free text, used in reports.")
    domain: Domain | None = Field(
        None, description="The domain of the equation; may be left out only if a mesh is given in Python."
    )
    unknowns: dict[str, Literal["scalar", "vector"] | Count | UnknownSection] = Field(
        min_length=1,
        max_length=20,
        description='Unknown functions: name = "scalar", "vector", a number of components, or a table.',
    )
    constants: dict[str, Real | tuple[Real, ...] | NumbersFile] = Field(
        default_factory=dict, description="Named numbers and lists of numbers for use in expressions; c[i] is entry i of a list."
    )
    parameters: Ranges = Field(default_factory=dict, description="A family: name = [lower, upper], or a table of a range.")
    infer: dict[str, InferSection] = Field(
        default_factory=dict, max_length=50, description="Unknown numbers and fields, which are found from [[data]]."
    )
    data: tuple[DataSection, ...] = Field((), max_length=1000, description="Measurements, for an inverse problem.")
    fields: dict[str, FieldSection] = Field(
        default_factory=dict, max_length=50, description="Known coefficients from files, used like expressions."
    )
    expressions: dict[str, Real | Text] = Field(
        default_factory=dict, description="Named UFL expressions; each may use the names before it."
    )
    form: Form = Field(description="The equation.")
    boundary: tuple[Boundary, ...] = Field(
        (), max_length=1000, description="Essential boundary conditions; natural conditions are ds terms of the form."
    )
    obstacle: tuple[Obstacle, ...] = Field(
        (), max_length=100, description="Obstacles in the domain, which elements solve by an active set."
    )
    point: tuple[PointSection, ...] = Field((), max_length=1000, description="Values held at points, by elements.")
    periodic: tuple[PeriodicSection, ...] = Field((), max_length=100, description="Pairs of periodic sides.")
    eigen: Eigen | None = Field(None, description="Find eigenvalues and modes instead of one solution.")
    reference: Reference = Field(default_factory=Reference, description="Known solution, for comparison only.")
    network: NetworkSection = Field(default_factory=NetworkSection, description="The network, which gives the trial functions.")
    test_space: TestSpaceSection = Field(default_factory=TestSpaceSection, description="The test functions of a weak form.")
    quadrature: Quadrature = Field(default_factory=Quadrature, description="The quadrature points and their weights.")
    batch: Batch = Field(default_factory=Batch, description="How many quadrature points a step sees, and which.")
    solver: Solver = Field(default_factory=Solver, description="How the problem is solved.")
    learn: LearnSection = Field(
        default_factory=LearnSection, description="How methods reptile and maml learn from the members of a family."
    )
    parallel: Parallel = Field(default_factory=Parallel, description="How several workers exchange gradients.")
    output: Output = Field(default_factory=Output, description="Which files are written, and where.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.solver.scaling not in (None, "none") and not self.batch.changes:
            raise ValueError('scaling follows a batch that changes: give batch.growth, or batch.size = "auto"')
        if self.solver.scaling not in (None, "none") and self.batch.growth == "logarithmic":
            raise ValueError('scaling raises the temperature again that growth "logarithmic" lowers; leave one of them out')
        if self.solver.schedule not in (None, "constant") and self.batch.growth == "logarithmic":
            raise ValueError('growth "logarithmic" cools by larger batches at a constant step size; leave out schedule')
        if self.batch.barrier is not None and self.solver.method != "sgd":
            raise ValueError(f'batch.barrier needs the temperature of plain descent, method "sgd", got "{self.solver.method}"')
        return self


def schema_json() -> dict[str, Any]:
    """Return the JSON Schema of a problem file, for completion and checks in editors."""
    schema = _discriminated(Settings.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "vpinn problem file",
        "required": ["domain", "unknowns", "form"],
    }


def _discriminated(schema: Any) -> Any:
    """Return a schema whose unions tell tables from other values, so that an editor marks the wrong key and not the whole table.

    TOML has no null, by which pydantic states that a key may be left out.
    """
    if isinstance(schema, list):
        return [_discriminated(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _discriminated(part) for name, part in schema.items() if (name, part) != ("default", None)}
    branches = [branch for branch in found.pop("anyOf", ()) if branch.get("type") != "null"]
    tables = [branch for branch in branches if "$ref" in branch]
    others = [branch for branch in branches if "$ref" not in branch]
    if len(branches) == 1:
        return {**branches[0], **found}
    if len(tables) == 1:
        return {**found, "if": {"type": "object"}, "then": tables[0], "else": {"anyOf": others}}
    return {**found, "anyOf": branches} if branches else found

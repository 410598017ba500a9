"""The sections of a problem file as validated models; their descriptions are the user's documentation (``vpinn schema``).

This module has the sections that state the problem, and `Settings`, the whole file. The sections that say how it is solved are in
`vpinn.problem.numerics`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.inverse import DataSection, InferSection
from vpinn.problem.network import NetworkSection
from vpinn.problem.numerics import Batch, Quadrature, Solver, TestSpaceSection
from vpinn.problem.output_section import Output
from vpinn.problem.parallel import Parallel
from vpinn.problem.parameters import Ranges
from vpinn.problem.section import Added, Count, Natural, Positive, Real, Section, Text, Value

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


class NumbersFile(Section):
    """A list of numbers from a file."""

    file: Text = Field(description="CSV file of numbers, row by row; a first line that is no number is a header.")


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


class Boundary(Section):
    """A condition on part of the boundary: a value of the unknown, bounds of it, or a residual that must vanish there."""

    on: Text | tuple[Text, ...] = Field(description='Boundary tag, list of tags, "all", or "initial": the start of domain.time.')
    where: Text | None = Field(None, description="Restricts the condition to a piece of the part, such as x > 0.5 and y < 1.")
    unknown: Text | None = Field(None, description="Name of the unknown; may be left out if there is only one.")
    component: Natural | None = Field(None, description="Component of a vector unknown, counted from 0; default all components.")
    value: Value | None = Field(None, description="Boundary value: a number, an expression, or a list of these for a vector.")
    at_least: Value | None = Field(None, description="Contact, instead of value: what the unknown is at least there.")
    at_most: Value | None = Field(None, description="Contact, instead of value: what the unknown is at most there.")
    rate: Value | None = Field(
        None, description='On "initial", if the equation has a second time derivative: the first time derivative at the start.'
    )
    residual: Text | None = Field(
        None,
        description="With a strong form, instead of a value: an expression of the unknowns that must vanish, imposed by penalty.",
    )
    impose: Literal["auto", "exact", "penalty", "nitsche"] = Field(
        "auto", description="exact: built into the trial space; penalty: by weighted squares; nitsche: by Nitsche's terms."
    )
    weight: Positive | None = Field(
        None, description="Weight of a penalty or Nitsche condition (> 0); by default chosen from the form."
    )

    @property
    def sides(self) -> tuple[str, ...]:
        """The tags in ``on`` as a tuple."""
        return (self.on,) if isinstance(self.on, str) else self.on

    @property
    def bounded(self) -> bool:
        """Whether it bounds the unknown instead of giving its value."""
        return self.at_least is not None or self.at_most is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on == ():
            raise ValueError('on needs at least one tag; write "all" for the whole boundary')
        if (self.value is not None) + (self.residual is not None) + self.bounded != 1:
            raise ValueError("give exactly one of value and residual, or bounds: at_least, at_most, or both")
        if self.bounded and (self.impose != "auto" or self.weight is not None or self.on == "initial"):
            raise ValueError("at_least and at_most hold at the nodes of elements; leave out impose, weight and the start of time")
        if self.rate is not None and self.on != "initial":
            raise ValueError('rate is given at the start, on = "initial"; leave it out elsewhere')
        if self.residual is not None and (self.impose not in ("auto", "penalty") or self.component is not None):
            raise ValueError("a residual is imposed by penalty and has no component; leave out impose and component")
        if self.residual is not None and self.unknown is not None:
            raise ValueError("a residual names its unknowns in the expression; leave out unknown")
        if self.weight is not None and self.impose == "exact":
            raise ValueError('an exact condition has no weight; leave out weight, or impose = "penalty"')
        return self


class Obstacle(Section):
    """Bounds of an unknown in all of the domain."""

    unknown: Text | None = Field(None, description="Which unknown; may be left out when there is one.")
    component: Natural | None = Field(None, description="One component of a vector unknown, from 0; default all of them.")
    at_least: Value | None = Field(None, description="Obstacle below: a number, an expression, or a list of these for a vector.")
    at_most: Value | None = Field(None, description="Obstacle above.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most, or both")
        return self


class PointSection(Section):
    """A value held at a point: a support, or a reference pressure."""

    at: tuple[Real, ...] | None = Field(None, description="Coordinates of the point; the nearest vertex of the mesh is held.")
    on: Text | None = Field(None, description="Tag of vertices of a mesh file, instead of at.")
    unknown: Text | None = Field(None, description="Which unknown; may be left out when there is one.")
    component: Natural | None = Field(None, description="One component of a vector unknown, from 0; default all of them.")
    value: Value = Field(0.0, description="A number, an expression, or a list of these for a vector; default 0.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.at is None) == (self.on is None):
            raise ValueError("give exactly one of at and on")
        return self


class PeriodicSection(Section):
    """Two sides that are the same place: unknowns take the same values on both."""

    start: Text = Field(alias="from", description="Boundary tag of one side.")
    to: Text = Field(description="Boundary tag of the other, which is the one moved.")
    unknown: Text | None = Field(None, description="Which unknown; default all of them.")
    factor: Literal[1, -1] = Field(1, description="-1 where the values are opposite.")


ElementDegree = Annotated[int, Field(strict=True, ge=1, le=10)]


class FiniteElements(Section):
    """The same form solved with continuous Lagrange elements on the mesh."""

    degree: ElementDegree | dict[str, ElementDegree] = Field(
        2,
        description="Polynomial degree of the elements, 1 to 10; multipliers such as a pressure get one less. Or a table "
        "of degrees by unknown: { u = 3, p = 2 }.",
    )
    refine: Annotated[int, Field(strict=True, ge=0, le=8)] = Field(
        0, description="How often the mesh is refined before, each cell into 2^d cells, 0 to 8."
    )


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
    periodic: tuple[PeriodicSection, ...] = Field((), max_length=100, description="Sides that are the same place.")
    eigen: Eigen | None = Field(None, description="Find eigenvalues and modes instead of one solution.")
    reference: Reference = Field(default_factory=Reference, description="Known solution, for comparison only.")
    network: NetworkSection = Field(default_factory=NetworkSection, description="The network, which gives the trial functions.")
    test_space: TestSpaceSection = Field(default_factory=TestSpaceSection, description="The test functions of a weak form.")
    quadrature: Quadrature = Field(default_factory=Quadrature, description="The quadrature points and their weights.")
    batch: Batch = Field(default_factory=Batch, description="How many quadrature points a step sees, and which.")
    solver: Solver = Field(default_factory=Solver, description="How the problem is solved.")
    parallel: Parallel = Field(default_factory=Parallel, description="How several workers exchange gradients.")
    output: Output = Field(default_factory=Output, description="Which files are written, and where.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.solver.scaling not in (None, "none") and not self.batch.changes:
            raise ValueError('scaling follows a batch that changes: give batch.growth, or batch.size = "auto"')
        if self.solver.scaling not in (None, "none") and self.batch.growth == "logarithmic":
            raise ValueError('scaling raises the temperature again that growth "logarithmic" lowers; leave one of them out')
        if self.batch.barrier is not None and self.solver.method != "sgd":
            raise ValueError(f'batch.barrier needs the temperature of plain descent, method "sgd", got "{self.solver.method}"')
        return self


def schema_json() -> dict[str, Any]:
    """Return the JSON Schema of a problem file, for completion and checks in editors."""
    schema = Settings.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "vpinn problem file",
        "required": ["domain", "unknowns", "form"],
    }

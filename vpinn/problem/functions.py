"""What expressions may call and name, one line each; the command ``vpinn functions`` prints it."""

from __future__ import annotations

import ast

FUNCTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "names": (
        ("x, y, z", "coordinates, as many as the domain has"),
        ("x[i]", "coordinate number i, from 0, in any dimension"),
        ("t", "time, with domain.time"),
        ("n", "outward unit normal, under ds and in boundary residuals; n[i] is a component"),
        ("h", "diameter of the cell, on meshes"),
        ("pi", "3.14159…"),
        ("u, v, …", "the file's unknowns, test functions, constants, and [expressions] above"),
    ),
    "operators": (
        ("a + b, a - b, a*b, a/b", "arithmetic of scalars; sums and multiples of vectors and matrices"),
        ("a**b", "power (not ^)"),
        ("a[i], a[i, j]", "component, counted from 0"),
        ("[a, b]", "vector; [[a, b], [c, d]] is a matrix"),
        ("a < b, a <= b, …", "comparison, inside conditional; joined by and, or, not"),
    ),
    "derivatives": (
        ("grad(a)", "gradient in space: one more axis, the last, for the derivatives"),
        ("div(a)", "divergence of a vector, or of the rows of a matrix; the Laplacian is div(grad(a))"),
        ("curl(a), rot(a)", "curl in two or three dimensions"),
        ("Dx(a, i)", "derivative along coordinate i; Dx(Dx(a, i), j) a second one"),
        ("dt(a)", "time derivative, with domain.time; dt(dt(a)) the second one"),
        ("nabla_grad(a), nabla_div(a)", "the same with the derivative's axis first"),
    ),
    "integrals": (
        ("a*dx", "over the domain; dx('tag') over a group of cells"),
        ("a*ds", "over the boundary; ds('tag') over a part, ds('a', 'b') over two"),
        ("a*delta(0.3, 0.4)", "the value at a point, in a form solved by elements"),
        ("a*dS('a', 'b')", "over the interface between two groups of cells, in a form solved by elements; n points into b"),
        ("jump(a), avg(a)", "under dS: the value in the first group minus that in the second, and the mean of both"),
    ),
    "scalars": (
        ("abs(a), sign(a)", "absolute value, and −1, 0 or 1"),
        ("sqrt(a), exp(a), ln(a), log(a), pow(a, b)", "root, exponential, natural logarithm (both names), power"),
        ("sin(a), cos(a), tan(a), asin(a), acos(a), atan(a), atan2(a, b)", "of angles in radians"),
        ("sinh(a), cosh(a), tanh(a), erf(a)", "hyperbolic functions, error function"),
        ("max_value(a, b), min_value(a, b)", "the larger, the smaller of two"),
        ("conditional(c, a, b)", "a where the condition c holds, else b"),
        ("lt(a, b), le(a, b), gt(a, b), ge(a, b), eq(a, b), ne(a, b)", "conditions <, <=, >, >=, ==, !="),
        ("And(c, d), Or(c, d), Not(c)", "conditions joined"),
    ),
    "vectors and matrices": (
        ("dot(a, b)", "sum over the last axis of a and the first of b"),
        ("inner(a, b)", "sum over all axes, of two of one shape"),
        ("outer(a, b), cross(a, b), perp(a)", "outer product; cross product in three dimensions; a turned by 90° in two"),
        ("as_vector([…]), as_matrix([[…]]), as_tensor([…])", "from components"),
        ("Identity(k)", "identity matrix of k rows"),
        ("transpose(A), sym(A), skew(A), dev(A), tr(A)", "transpose, symmetric, antisymmetric and deviatoric part, trace"),
        ("det(A), inv(A), cofac(A)", "determinant, inverse, cofactors, up to 3×3"),
        ("diag(A), diag_vector(A)", "the diagonal as a matrix, as a vector"),
    ),
}
"""Kind → what may be written, and what it means."""

FIXED = {
    "t": "the time of domain.time",
    "n": "the outward normal",
    "h": "the cell diameter",
    "pi": "3.14159…",
    "dx": "the measure of the domain",
    "ds": "the measure of the boundary",
    "dS": "the measure of interfaces inside",
    "dt": "the time derivative",
}
"""Names that a file cannot use for something else → what they mean."""

SIGNS = {ast.BitXor: "write a**b for a power", ast.MatMult: "write dot(a, b) for a product of matrices"}
"""Operators of Python that users expect → what to write instead."""

_NAMED = "it is no function; define sigma = '…' of the unknowns in [expressions], and write sigma without brackets"
MEANT = {
    **{name: _NAMED.replace("sigma", name) for name in ("sigma", "epsilon", "eps", "strain", "stress")},
    "laplace": "write div(grad(…)) for the Laplacian",
    "laplacian": "write div(grad(…)) for the Laplacian",
    "Delta": "write div(grad(…)) for the Laplacian",
    "lap": "write div(grad(…)) for the Laplacian",
    "nabla": "write grad(…) or div(…)",
    "max": "write max_value(a, b)",
    "min": "write min_value(a, b)",
    "fmax": "write max_value(a, b)",
    "fmin": "write min_value(a, b)",
    "norm": "write sqrt(inner(a, a)) for the length",
    "arcsin": "write asin(…)",
    "arccos": "write acos(…)",
    "arctan": "write atan(…)",
    "arctan2": "write atan2(y, x)",
    "log10": "write ln(…)/ln(10)",
    "trace": "write tr(…)",
    "where": "write conditional(condition, a, b)",
    "heaviside": "write conditional(a > 0, 1, 0)",
    "step": "write conditional(a > 0, 1, 0)",
    "diff": "write Dx(u, i) for ∂u/∂x_i, dt(u) for ∂u/∂t",
    "d": "write Dx(u, i) for ∂u/∂x_i, dt(u) for ∂u/∂t",
    "eye": "write Identity(k)",
    "integral": "multiply by dx or ds",
    "int": "multiply by dx or ds",
}
"""Functions that users expect → what to write instead."""
UNAVAILABLE = {
    "dS": "dS is the interface between two groups of cells, as in dS('a', 'b'); ds is the boundary",
    "dt": "a time derivative needs time = [start, end] in [domain]",
    "t": "time needs time = [start, end] in [domain]",
    "h": "the cell diameter h needs a mesh, and this domain has none",
    "jump": "jump(a) stands in terms of an energy or weak form over dS('a', 'b'), between two groups of cells with tags",
    "avg": "avg(a) stands in terms of an energy or weak form over dS('a', 'b'), between two groups of cells with tags",
}
"""Names that mean something in other problems or in other languages → why they are not available here."""

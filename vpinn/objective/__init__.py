"""Objectives: what training minimises, J(θ) = Σ ∫ density + ½‖r‖² with the residual r of a weak form in its dual norm.

In go a problem and a trial space; out comes an `Objective` (`make_objective`) with J and ∇J over all points or over drawn ones.

1. `variation`, `bending`: a problem in another formulation. `control`: a weak form with a control variate.
2. `penalty` (weights of conditions), `test_functions` → `test_space`, `whitening`: the dual norm of residuals.
3. `contraction` (integrands times test functions) → `measure` (one of dx and ds: points and integrands).
4. `statement` puts problem, points and test functions together; start reading there. It gathers `integrands` over points of a
   `resolution`, which follows from the settings unless it is prescribed.
5. `objective`: J and ∇J, part by part of the points; `pairs` (unbiased squares from one batch), `candidates` (J at many
   parameters), `signals` (gradient or residual of single points, for samplers).
6. `curvature` (second derivatives as rows) and `linearisation` (residual and last layer as rows, for least squares).
"""

from vpinn.objective.bending import bends, bent
from vpinn.objective.candidates import candidate_values
from vpinn.objective.curvature import count_rows, curvature, is_sum_of_squares
from vpinn.objective.curvature_rows import Curvature
from vpinn.objective.measure import Measure
from vpinn.objective.objective import Batch, Objective
from vpinn.objective.parts import Part, divided
from vpinn.objective.resolution import Resolution, expected_points, quadrature_degree, quadrature_rule
from vpinn.objective.signals import has_residual, signals
from vpinn.objective.statement import make_objective, summable
from vpinn.objective.test_space import DualNorm, TestSpace
from vpinn.objective.variation import equations, highest_order, pointwise, weakened

__all__ = [
    "Batch",
    "Curvature",
    "DualNorm",
    "Measure",
    "Objective",
    "Part",
    "Resolution",
    "TestSpace",
    "bends",
    "bent",
    "candidate_values",
    "count_rows",
    "curvature",
    "divided",
    "equations",
    "expected_points",
    "has_residual",
    "highest_order",
    "is_sum_of_squares",
    "make_objective",
    "pointwise",
    "quadrature_degree",
    "quadrature_rule",
    "signals",
    "summable",
    "weakened",
]

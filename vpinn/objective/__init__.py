"""Objectives: problem and trial space → J(θ) = Σ ∫ density + ½‖r‖², with its gradient over all points or drawn ones.

`statement` (what is integrated where) → `measure` (points with their integrands) → `contraction`, `test_space` (residuals
and their dual norm) → `objective` (value and gradient in chunks) → `candidates` (values of many parameters), `curvature`
(second derivatives as rows).
"""

from vpinn.objective.bending import bends, bent
from vpinn.objective.candidates import candidate_values
from vpinn.objective.contraction import Contraction, Frame
from vpinn.objective.curvature import Curvature, count_rows, curvature, is_sum_of_squares
from vpinn.objective.linearisation import Rows, linearise
from vpinn.objective.measure import Measure, Prepared, integral
from vpinn.objective.objective import Batch, Objective, Part
from vpinn.objective.signals import has_residual, signals
from vpinn.objective.statement import make_objective, quadrature_degree, quadrature_rule, summable
from vpinn.objective.test_space import DualNorm, TestSpace
from vpinn.objective.variation import equations, highest_order, pointwise, weakened

__all__ = [
    "Batch",
    "Contraction",
    "Curvature",
    "DualNorm",
    "Frame",
    "Measure",
    "Objective",
    "Part",
    "Prepared",
    "Rows",
    "TestSpace",
    "bends",
    "bent",
    "candidate_values",
    "count_rows",
    "curvature",
    "equations",
    "has_residual",
    "highest_order",
    "integral",
    "is_sum_of_squares",
    "linearise",
    "make_objective",
    "pointwise",
    "quadrature_degree",
    "quadrature_rule",
    "signals",
    "summable",
    "weakened",
]

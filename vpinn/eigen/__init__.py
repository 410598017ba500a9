"""Eigenproblems a(u, v) = λ m(u, v): eigenvalues with an estimate of their errors, and their modes.

An eigenproblem on a mesh goes in, and the eigenvalues nearest to a number come out. `pairs` finds eigenpairs of sparse matrices.
`discrete` makes these matrices with elements of one degree, and estimates what the eigenpairs miss. `stages` raises the degree or
bisects cells until that is little enough; start to read there. `modes` turns all modes into one solution.
"""

from vpinn.eigen.modes import mode_problem, mode_trial
from vpinn.eigen.stages import EigenStage, solve_in_stages

__all__ = ["EigenStage", "mode_problem", "mode_trial", "solve_in_stages"]

"""Inverse problems: unknown numbers and fields of a problem from measurements, with how certain they are.

A problem with [infer] and [[data]] goes in; values, their covariance, and how well they explain the data come out.

1. `basis`: an unknown field is a sum of cosines; `prior`: their variances, by a size, a length and a smoothness.
2. `sensors`: measurements as functions of the elements' coefficients, and their derivatives. `elements`: the solution for given
   coefficients, and how the measurements change with these (`forward` is the interface of all such models).
3. `evidence`: noise and prior from the data. `gauss_newton`: the iteration; `posterior`: what it found and how certain it is.
4. `stages`: elements of rising degree until they no longer matter; start to read there. `judgement`: whether the data are
   explained.
5. `found`: the problem and the fields with the values in place.
"""

from vpinn.inference.elements import forward_problem
from vpinn.inference.found import found_problem, found_trial
from vpinn.inference.judgement import judged
from vpinn.inference.stages import InferenceStage, infer_in_stages

__all__ = ["InferenceStage", "forward_problem", "found_problem", "found_trial", "infer_in_stages", "judged"]

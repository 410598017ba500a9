"""Families of problems with parameters μ: one reduced space for the whole range, and a bound of the error of every query.

A family on a mesh goes in, and a `Family` comes out, whose queries cost less than a millisecond.

1. `terms`: the form as Σ θ_k(μ) F_k(u; v), found in it; `interpolation`: what is no such sum, from few quadrature points.
   `factors`: the numbers θ_k, for any μ.
2. `elements`: the F_k on elements of one degree; `product`: the inner product that errors are measured in.
3. `greedy`: the choice of members; `growing`: the reduced space while it grows; `reduced`: the space, its queries and bounds.
4. `stages`: all of it on richer and richer elements; start to read there. `family`: what is kept; `judgement`: errors on members
   that were not used.
"""

from vpinn.families.family import Family, unused
from vpinn.families.judgement import WITHOUT, Judged, judge, resonant
from vpinn.families.stages import FamilyStage, solve_in_stages

__all__ = ["WITHOUT", "Family", "FamilyStage", "Judged", "judge", "resonant", "solve_in_stages", "unused"]

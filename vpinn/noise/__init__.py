"""The noise of mini-batch gradients: closed forms, measurements on a problem, and what they recommend.

`variance`, `bias`, `rates`, `steady` are the theory, a function per statement. `gradients` (of single points) → `draws`
(batches as training draws them), `contributions` (batches as sums of what points contribute) → `population` (exact statistics),
`pilot` (a short run), `minimum` (walks of a method near one), `effort` (what fits into the time) → `estimators`, `signals`,
`biases`, `costs`, `limits`, `dynamics`, `basins`, `search` (findings: predicted beside measured) → `recommend` → `report`.
"""

from vpinn.noise.effort import FULL, QUICK, Effort
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.recommend import Setting
from vpinn.noise.report import NoiseReport, measure_noise

__all__ = ["FULL", "QUICK", "Curve", "Effort", "Finding", "NoiseReport", "Setting", "measure_noise"]

"""The noise of mini-batch gradients: closed forms, measurements on a problem, and what they recommend.

`variance`, `bias`, `rates`, `steady` are the theory, a function per statement. `gradients` (of single points) → `draws`
(batches as training draws them), `contributions` (batches as sums of what points contribute) → `questions` (measured until they
are decided) → `population` (exact statistics), `pilot` (a short run), `minimum` and `walks` (of a method near one), `falls` (of J
by single steps), `effort` (what may be spent) → `estimators`, `signals`, `biases`, `costs`, `limits`, `dynamics`, `basins`,
`search` (findings: predicted beside measured) → `recommend` → `parts` (of a report) → `record` (those that are done) → `report`.
"""

from vpinn.noise.effort import FULL, QUICK, Effort
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.recommend import Setting
from vpinn.noise.record import Record, begin
from vpinn.noise.report import NoiseReport, measure_noise

__all__ = ["FULL", "QUICK", "Curve", "Effort", "Finding", "NoiseReport", "Record", "Setting", "begin", "measure_noise"]

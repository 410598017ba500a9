"""The noise of mini-batch gradients: theory, measurements on a problem, and recommended settings.

In goes a problem; out comes a `NoiseReport` that sets every theoretical prediction beside its measurement (`measure_noise`).

1. Theory, one function per formula: `variance`, `bias`, `rates`, `steady`.
2. Raw measurements: `gradients` (of single points), `draws` (of batches, drawn as in training), `contributions` (of every
   point, so that batches are sums of rows), `population` (exact statistics over all points), `pilot` (a short training run),
   `minimum` (parameters near a minimum) and `walks` (training near it), `falls` (decrease of J by single steps).
3. `effort` limits how many points may be evaluated; `questions` repeats a measurement until the comparison is decided.
4. Findings, each a prediction beside its measurement (`finding`): `estimators`, `signals`, `biases`, `costs`, `limits`,
   `dynamics`, `basins`, `search`.
5. `advice`, `recommend`: the settings that follow. `parts`, `record`, `report`: the whole report, resumable part by part.
"""

from vpinn.noise.effort import FULL, QUICK, Effort
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.recommend import Setting
from vpinn.noise.record import Record, begin
from vpinn.noise.report import NoiseReport, measure_noise

__all__ = ["FULL", "QUICK", "Curve", "Effort", "Finding", "NoiseReport", "Record", "Setting", "begin", "measure_noise"]

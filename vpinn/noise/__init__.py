"""The noise of mini-batch gradients: predictions of theory, measurements on a problem, and recommended training settings.

Start from `measure_noise`, which makes the whole report. The modules in order of import:

- `variance`, `bias`, `rates`, `steady`: the theory, one function per statement.
- `gradients` (gradients of single points), `draws` (mini-batches as in training), `contributions` (the same from stored rows).
- `questions` (sampling until a result is certain), `population` (exact statistics over all points), `pilot` (a short training
  run), `minimum` and `walks` (steps of a method near a minimum), `falls` (decrease of J by one step), `effort` (the budget).
- `estimators`, `signals`, `biases`, `costs`, `limits`, `dynamics`, `basins`, `search`: findings, predictions beside measurements.
- `advice`, `recommend` (settings), `parts` (stages of a report), `record` (stages on disk), `report`.

The numbers of items (1 to 15) in docstrings are those of the statements of the theory, as in the table of the report.
"""

from vpinn.noise.effort import FULL, QUICK, Effort
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.recommend import Setting
from vpinn.noise.record import Record, begin
from vpinn.noise.report import NoiseReport, measure_noise

__all__ = ["FULL", "QUICK", "Curve", "Effort", "Finding", "NoiseReport", "Record", "Setting", "begin", "measure_noise"]

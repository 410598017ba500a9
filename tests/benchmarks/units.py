"""Show that training does not depend on units: relative answers where lengths, values or coefficients are multiplied by a factor.

    python tests/benchmarks/units.py [--forms weak …] [--methods adam …] [--samplers full …]

One row per formulation, method and sampler, one column per quantity and factor: the largest difference, relative to the largest
value, between the answer in these units and that in units of one, after the few steps of ``test_dimensionless``. One thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from vpinn.process import settle_process

sys.path.insert(0, str(Path(__file__).parents[1] / "optimization"))
from test_dimensionless import BOUND, FORMS, METHODS, SAMPLERS, answer, combinations

QUANTITIES = ("length", "value", "coefficient")
FACTORS = (1e-6, 1e3, 1e9)


def row(form: str, method: str, sampler: str) -> list[float]:
    """Return the relative differences for all quantities and factors."""
    reference = answer(form, method, sampler, 1.0, 1.0, 1.0)
    found = []
    for place in range(len(QUANTITIES)):
        for factor in FACTORS:
            units = [1.0] * len(QUANTITIES)
            units[place] = factor
            found.append(float(np.abs(answer(form, method, sampler, *units) - reference).max() / np.abs(reference).max()))
    return found


def main() -> int:
    """Run the command line; return 1 where a difference is more than rounding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", nargs="+", choices=tuple(FORMS), default=list(FORMS))
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    options = parser.parse_args()
    settle_process(1)
    print(f"{'':34}" + "".join(f"{f'{name} × {factor:.0e}':>20}" for name in QUANTITIES for factor in FACTORS))
    worst = 0.0
    for form, method, sampler in combinations():
        if form in options.forms and method in options.methods and sampler in options.samplers:
            found = row(form, method, sampler)
            worst = max(worst, *found)
            print(f"{form:7} {method:13} {sampler:12}" + "".join(f"{value:20.1e}" for value in found), flush=True)
    print(f"largest {worst:.1e}, rounding up to {BOUND:.0e}")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())

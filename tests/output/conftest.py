from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from vpinn.problem import make_problem
from vpinn.solution import Solution
from vpinn.solving import solve

POISSON = "0.5*inner(grad(u), grad(u))*dx - u*dx"
TRUTH = {"expressions": {"truth": "x*(1 - x)"}, "reference": {"exact": {"u": "truth"}}}
STATEMENTS: dict[str, dict[str, Any]] = {
    "line": {"domain": {"shape": "interval", "cells": 4}, **TRUTH},
    "square": {"domain": {"shape": "rectangle", "cells": 3, "cell": "quadrilateral"}, **TRUTH, "title": "A $quare & <b>"},
    "disk": {"domain": {"shape": "disk", "cells": 3}, "batch": {"size": 10}, "solver": {"method": "adam", "steps": 30}},
    "box": {"domain": {"shape": "box", "cells": 2}, "quadrature": {"degree": 2}},
    "beam": {
        "domain": {"shape": "rectangle", "upper": [3, 1], "cells": [6, 2]},
        "unknowns": {"w": {"shape": "vector", "test": "z"}},
        "energy": "inner(sym(grad(w)), sym(grad(w)))*dx - w[1]*dx",
        "boundary": [{"on": "left", "value": [0, 0]}],
    },
    "cube": {
        "domain": {"shape": "hypercube", "lower": [0, 0, 0, 0]},
        "strong": "-div(grad(u)) - 1",
        "expressions": {"truth": "x[0]"},
        "reference": {"exact": {"u": "truth"}},
        "quadrature": {"points": 64},
    },
    "unmeshed": {"domain": {"shape": "hypercube", "lower": [0, 0]}, "strong": "-div(grad(u)) - 1", "quadrature": {"points": 64}},
}


@pytest.fixture(scope="session")
def solved() -> Callable[[str], Solution]:
    """Return solutions after three steps, by name."""

    @cache
    def of(name: str) -> Solution:
        stated = {
            "unknowns": {"u": "scalar"},
            "boundary": [{"on": "all", "value": 0}],
            "network": {"layers": [5]},
            "solver": {"method": "lbfgs", "steps": 3},
        }
        stated |= STATEMENTS[name]
        if not {"energy", "strong"} & set(stated):
            stated["energy"] = POISSON
        with pytest.MonkeyPatch.context() as patch:  # one kind of features is enough for an estimate that is only looked at
            patch.setattr("vpinn.analysis.features.SCALES", (1.0,))
            patch.setattr("vpinn.analysis.features.FEWEST", 50)
            return solve(make_problem(**stated), threads=1)

    return of

"""Test that lifts and their time derivatives take the boundary values at all times, and do not depend on values inside."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import BoundaryPart
from vpinn.features.orthonormal import homogeneous, make_lifts
from vpinn.problem import Problem, make_problem

VALUE = "sin(3*t)*x + exp(-t)*y"


def stated(shape: dict[str, object], value: str) -> Problem:
    return make_problem(
        {**shape, "time": [0, 1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": value}, {"on": "initial", "value": 0}],
    )


@pytest.mark.parametrize(
    "shape", [{"shape": "rectangle", "cells": 3}, {"shape": "l-shape", "cells": 3}, {"shape": "disk", "cells": 3}]
)
def test_takes_the_values_and_their_time_derivatives(shape: dict[str, object]) -> None:
    problem = stated(shape, VALUE)
    (lift,) = make_lifts(problem, homogeneous(problem).background)
    points = BoundaryPart.of(problem.domain).on_each()
    x, y = points.x.T
    moment = lift.at(points, [()], 2)(0.3)
    wanted = [np.sin(0.9) * x + np.exp(-0.3) * y, 3 * np.cos(0.9) * x - np.exp(-0.3) * y, -9 * np.sin(0.9) * x + np.exp(-0.3) * y]
    for order, values in enumerate(wanted):
        np.testing.assert_allclose(moment[order, ()], values, atol=1e-9)


@pytest.mark.parametrize("shape", [{"shape": "rectangle", "cells": 3}, {"shape": "l-shape", "cells": 3}])
def test_a_value_changed_inside_alone_changes_nothing(shape: dict[str, object]) -> None:
    """The second value is larger by 1 at distances over 0.05 from the boundary of either domain's box."""
    inside = "conditional(lt(abs(x - 0.5), 0.2), 1, 0)*conditional(lt(abs(y - 0.5), 0.2), 1, 0)"
    fields = []
    for value in (VALUE, f"{VALUE} + {inside}"):
        problem = stated(shape, value)
        (lift,) = make_lifts(problem, homogeneous(problem).background)
        points = BoundaryPart.of(problem.domain).on_each()
        fields.append(lift.at(points, [(), (0,)], 1)(0.6))
    for key, values in fields[0].items():
        np.testing.assert_allclose(fields[1][key], values, atol=1e-9)

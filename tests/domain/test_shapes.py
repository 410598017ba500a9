from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import Box, CellPoints, Disk, FacetPoints, Hypercube, Polygon, disk, l_shape, make_shape, polygon_of, rectangle
from vpinn.errors import InputError

from .meshes import SHAPED, curved

VOLUMES = {"interval": 3.0, "triangles": 4.0, "quadrilaterals": 4.0, "tetrahedra": 4.0, "hexahedra": 4.0, "l-shape": 3.0}
CELLS = {"interval": 5, "triangles": 24, "quadrilaterals": 12, "tetrahedra": 72, "hexahedra": 12, "disk": 96, "l-shape": 54}


@pytest.mark.parametrize("name", SHAPED)
def test_volume_cells_and_outline(name: str):
    mesh = SHAPED[name]()
    assert mesh.n_cells == CELLS[name]
    if name in VOLUMES:
        assert abs(CellPoints(mesh, 2).volume - VOLUMES[name]) < 1e-12
    assert isinstance(mesh.shape, Disk if name == "disk" else Polygon if name == "l-shape" else Box)


@pytest.mark.parametrize("name", ["interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra"])
def test_tags_name_the_sides(name: str):
    mesh = SHAPED[name]()
    for axis, pair in enumerate((("left", "right"), ("bottom", "top"), ("back", "front"))[: mesh.dimension]):
        for tag, end, sign in zip(pair, (mesh.shape.lower, mesh.shape.upper), (-1.0, 1.0), strict=True):
            points = FacetPoints(mesh, mesh.facets(tag), 2)
            side = points.take(range(points.size))
            np.testing.assert_allclose(side.x[:, axis], end[axis], atol=1e-14)
            np.testing.assert_allclose(side.normal[:, axis], sign, atol=1e-14)
            area = np.prod(np.delete(np.subtract(mesh.shape.upper, mesh.shape.lower), axis))
            assert abs(side.w.sum() - area) < 1e-13


def test_disk_converges_at_fourth_order_with_its_nodes_on_the_circle():
    errors = []
    for n in (4, 8, 16):
        mesh = disk((1.0, -2.0), 0.5, n)
        rim = FacetPoints(mesh, mesh.facets("boundary"), 10)
        edge = rim.take(range(rim.size))
        assert len(mesh.boundary) == 6 * n
        assert np.abs(np.linalg.norm(edge.x - [1.0, -2.0], axis=1) - 0.5).max() < 0.02 / n**4
        assert np.abs(edge.normal - (edge.x - [1.0, -2.0]) / 0.5).max() < 0.2 / n**2
        errors.append(abs(CellPoints(mesh, 4).volume - np.pi / 4.0))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.abs(orders - 4.0).max() < 0.1
    assert errors[-1] < 2e-7


def test_l_shape_lacks_the_lower_right_square():
    for cell in ("triangle", "quadrilateral"):
        middle = l_shape(4, cell).nodes[l_shape(4, cell).vertices].mean(axis=1)
        assert not ((middle[:, 0] > 0.0) & (middle[:, 1] < 0.0)).any()


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_polygons_merge_straight_edges(cell: str):
    def ordered(polygon: Polygon) -> list:
        return sorted(polygon.segments.reshape(-1, 4).round(12).tolist())

    mesh = l_shape(5, cell)
    assert ordered(polygon_of(mesh, mesh.facets("all"))) == ordered(mesh.shape)
    plate = rectangle((0.0, 0.0), (2.0, 1.0), 4, cell)
    assert ordered(polygon_of(plate, plate.facets(["left", "top"]))) == [[0.0, 1.0, 0.0, 0.0], [2.0, 1.0, 0.0, 1.0]]
    assert polygon_of(plate, plate.facets([])) is None
    assert polygon_of(curved(plate), plate.facets("all")) is None


def test_hypercube_names_its_sides():
    cube = Hypercube.between([0, 0, 0, 0, 0], [1, 2, 3, 4, 5])
    assert cube.tags == ("left", "right", "bottom", "top", "back", "front", "lower3", "upper3", "lower4", "upper4", "all")
    assert cube.facets(["upper4", "left"]).tolist() == [0, 9]
    assert cube.volume == 120.0
    assert cube.facet_areas.tolist() == [120.0, 120.0, 60.0, 60.0, 40.0, 40.0, 30.0, 30.0, 24.0, 24.0]
    with pytest.raises(InputError, match="available tags: left"):
        cube.facets("initial")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sphere", {}, "choose one of interval, rectangle, box, disk, l-shape, hypercube"),
        ("rectangle", {"radius": 1.0}, "no setting 'radius'"),
        ("interval", {"lower": 1.0, "upper": 1.0}, "lower must be below upper"),
        ("interval", {"lower": "a"}, "lower must be"),
        ("rectangle", {"lower": [0.0], "upper": [1.0]}, "list of 2 finite numbers"),
        ("rectangle", {"upper": [1.0, float("nan")]}, "finite"),
        ("rectangle", {"upper": [1.0, float("inf")]}, "finite"),
        ("rectangle", {"upper": None}, "upper must be"),
        ("rectangle", {"cells": 0}, "whole number"),
        ("rectangle", {"cells": 2.5}, "whole number"),
        ("rectangle", {"cells": True}, "whole number"),
        ("rectangle", {"cells": "ab"}, "whole number"),
        ("rectangle", {"cells": None}, "whole number"),
        ("rectangle", {"cells": [3, 3, 3]}, "whole number"),
        ("rectangle", {"cells": [100_000, 100_000]}, "more than 5000000"),
        ("rectangle", {"cell": "hexahedron"}, "triangle or quadrilateral"),
        ("box", {"cell": "triangle"}, "tetrahedron or hexahedron"),
        ("disk", {"radius": -1.0}, "positive radius"),
        ("disk", {"radius": "big"}, "radius"),
        ("disk", {"center": [0.0]}, "center must be 2"),
        ("disk", {"cells": 10_000}, "more than 5000000"),
        ("disk", {"cells": 1.5}, "whole number"),
        ("l-shape", {"cells": -1}, "whole number"),
        ("l-shape", {"cell": "interval"}, "triangle or quadrilateral"),
        ("hypercube", {"lower": [], "upper": []}, "1 to 1000"),
        ("hypercube", {"lower": [0, 0], "upper": [1]}, "upper must be a list of 2"),
    ],
)
def test_bad_settings_are_refused_in_one_line(name: str, settings: dict, message: str):
    with pytest.raises(InputError, match=message) as caught:
        make_shape(name, **settings)
    assert "\n" not in str(caught.value)


def test_shapes_by_name():
    assert make_shape("l-shape", cells=2).n_cells == 24
    assert make_shape("interval", lower=[0], upper=[2], cells=[4]).n_cells == 4
    assert make_shape("hypercube", lower=[0] * 7, upper=[1] * 7).dimension == 7

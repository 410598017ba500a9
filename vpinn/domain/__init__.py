"""Domains: from a shape or a mesh file to quadrature points and test spaces.

    mesh file ─ read_mesh ─┐            ┌─ CellPoints, FacetPoints ─ take(index) → Points
                           ├→   Mesh   ─┼─ LagrangeSpace → dofs, basis functions, Gram matrices
    shape ──── make_shape ─┤            └─ refine, locate, polygon_of
                           └→ Hypercube ── MonteCarloPoints, MonteCarloFacetPoints ─ take(index) → Points

Everything is a frozen object in numpy: meshes are checked when made, points are numbered and made when asked for, so that
memory depends on the mesh and on the batch and never on the number of points.
"""

from vpinn.domain.bisect import BISECTED, bisect, replayed
from vpinn.domain.build import make_mesh
from vpinn.domain.corners import Corner, corners_of
from vpinn.domain.geometry import Frames
from vpinn.domain.given import (
    Domain,
    PlacedPoints,
    bare_points,
    carried_points,
    cell_points,
    check_points,
    facet_points,
    located_points,
    node_points,
)
from vpinn.domain.hypercube import Hypercube
from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.mesh_file import read_mesh
from vpinn.domain.outline import Box, Disk, Outline, Polygon
from vpinn.domain.parts import touching_parts
from vpinn.domain.points import AFFORDABLE, CellPoints, FacetPoints, Points, PointSet, affordable_refine
from vpinn.domain.polygons import polygon_of
from vpinn.domain.quadrature import Rule, facet_gauss, gauss
from vpinn.domain.random_points import MonteCarloFacetPoints, MonteCarloPoints
from vpinn.domain.reference import reference_cell
from vpinn.domain.refine import parents, refine
from vpinn.domain.sequences import interleaved_sobol, sobol_points
from vpinn.domain.shapes import SHAPES, box, disk, interval, l_shape, make_shape, rectangle
from vpinn.domain.sources import local_scale, sources_behind
from vpinn.domain.space import LagrangeSpace, assemble_cells, functions_per_cell
from vpinn.domain.vertices import tag_vertices, with_vertices

__all__ = [
    "AFFORDABLE",
    "BISECTED",
    "SHAPES",
    "Box",
    "CellPoints",
    "Corner",
    "Disk",
    "Domain",
    "FacetPoints",
    "Frames",
    "Hypercube",
    "LagrangeSpace",
    "Mesh",
    "MonteCarloFacetPoints",
    "MonteCarloPoints",
    "Outline",
    "PlacedPoints",
    "PointSet",
    "Points",
    "Polygon",
    "Rule",
    "affordable_refine",
    "assemble_cells",
    "bare_points",
    "bisect",
    "box",
    "carried_points",
    "cell_points",
    "check_points",
    "corners_of",
    "disk",
    "facet_gauss",
    "facet_points",
    "functions_per_cell",
    "gauss",
    "interleaved_sobol",
    "interval",
    "l_shape",
    "local_scale",
    "locate",
    "located_points",
    "make_mesh",
    "make_shape",
    "node_points",
    "parents",
    "polygon_of",
    "read_mesh",
    "rectangle",
    "reference_cell",
    "refine",
    "replayed",
    "sobol_points",
    "sources_behind",
    "tag_vertices",
    "touching_parts",
    "with_vertices",
]

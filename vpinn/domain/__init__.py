"""Domains: from a shape or a mesh file to quadrature points and finite element spaces.

    mesh file ─ read_mesh ─┐            ┌─ CellPoints, FacetPoints ─ take(index) → Points
                           ├→   Mesh   ─┼─ LagrangeSpace → dofs, basis functions, Gram matrices
    shape ──── make_shape ─┤            └─ refine, locate, polygon_of
                           └→ Hypercube ── MonteCarloPoints, MonteCarloFacetPoints ─ take(index) → Points

All objects are immutable and made of numpy arrays. Meshes are checked when they are made. Quadrature points are numbered and
computed on demand, so that memory depends on the mesh and on the batch, but not on the number of points.

1. `reference` (the five cell types), `geometry` (maps to physical cells), `quadrature`, `sequences` (random and Sobol numbers).
2. `outline`, `mesh`, `build` (checks) → `mesh_file`, `shapes`, `hypercube`: the domains.
3. `virtual`, `points`, `random_points`: quadrature points; `given`: points for evaluation and comparison.
4. `space`: Lagrange elements. `refine`, `bisect`: finer meshes. `locate`: the cell of a point.
5. `corners`, `polygons`, `parts`, `sources`: corners, straight outlines, unconnected parts, and points outside the domain.

Start with `mesh`, `points` and `space`.
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

"""Domains: from a shape or a mesh file to quadrature points and finite element spaces.

    mesh file ─ read_mesh ─┐            ┌─ CellPoints, FacetPoints ─ take(index) → Points
                           ├→   Mesh   ─┼─ LagrangeSpace → dofs, basis functions, Gram matrices
    shape ──── make_shape ─┤            └─ refine, locate, polygon_of
                           └→ Meshless ─── MonteCarloPoints, MonteCarloFacetPoints ─ take(index) → Points

All objects are immutable and made of numpy arrays. Meshes are checked when they are made. Quadrature points are numbered and
computed on demand, so that memory depends on the mesh and on the batch, but not on the number of points.

A region is the inside of a domain or a part of its boundary: ``BoundaryPart.of(domain, tags).points(degree)``. Whether there are
cells is asked of the domain: its ``mesh`` is None if there are none, and ``with_cells`` then raises an error.

1. `reference` (the five cell types), `geometry` (maps to physical cells), `quadrature`, `sequences` (random and Sobol numbers).
2. `outline`, `mesh`, `build` (checks) → `mesh_file`, `shapes`, `extrude` (space and time): meshes; `meshless` → `hypercube`,
   `ball` (also all of space): domains of any dimension without a mesh.
3. `point_set`, `virtual`, `points`, `random_points`: quadrature points; `given`: points for evaluation and comparison.
4. `interfaces`: facets between parts. `space`: Lagrange elements. `regions`: what integrals run over, with points and tests.
5. `refine`, `bisect`, `layers`, `rounded`: finer meshes, the latter three by `cut`. `locate`: the cell of a point.
6. `corners`, `polygons`, `parts`, `sources`: corners, straight outlines, unconnected parts, and points outside the domain.

Start with `mesh`, `points` and `regions`.
"""

from vpinn.domain.ball import Ball, Space
from vpinn.domain.bisect import BISECTED, bisect, divisible
from vpinn.domain.build import make_mesh
from vpinn.domain.corners import Corner, corners_of
from vpinn.domain.extrude import SIDES, extruded, sides_of
from vpinn.domain.given import (
    Domain,
    PlacedPoints,
    axis_names,
    bare_points,
    carried_points,
    located_points,
    node_points,
)
from vpinn.domain.hypercube import Hypercube
from vpinn.domain.interfaces import FacingPoints, facing
from vpinn.domain.layers import creases, layered, replayed, touching
from vpinn.domain.locate import locate
from vpinn.domain.mesh import FINAL, INITIAL, Mesh
from vpinn.domain.mesh_file import read_mesh, read_mesh_data
from vpinn.domain.meshless import Meshless
from vpinn.domain.outline import Box, Disk, Polygon
from vpinn.domain.parts import hanging_node, joined_nodes, touching_parts
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.points import AFFORDABLE, CellPoints, FacetPoints, MeshPoints, affordable_refine
from vpinn.domain.polygons import polygon_of
from vpinn.domain.quadrature import facet_gauss, gauss
from vpinn.domain.random_points import MonteCarloFacetPoints, MonteCarloPoints
from vpinn.domain.reference import reference_cell
from vpinn.domain.refine import parents, refine
from vpinn.domain.regions import REGIONS, BoundaryPart, Inside, Region, scattered
from vpinn.domain.rounded import rounded
from vpinn.domain.sequences import interleaved_sobol, sobol_points
from vpinn.domain.shapes import box, disk, interval, l_shape, make_shape, rectangle
from vpinn.domain.sources import local_scale, sources_behind
from vpinn.domain.space import LagrangeSpace, assemble_cells, functions_per_cell
from vpinn.domain.vertices import tag_vertices, with_vertices

__all__ = [
    "AFFORDABLE",
    "BISECTED",
    "FINAL",
    "INITIAL",
    "REGIONS",
    "SIDES",
    "Ball",
    "BoundaryPart",
    "Box",
    "CellPoints",
    "Corner",
    "Disk",
    "Domain",
    "FacetPoints",
    "FacingPoints",
    "Hypercube",
    "Inside",
    "LagrangeSpace",
    "Mesh",
    "MeshPoints",
    "Meshless",
    "MonteCarloFacetPoints",
    "MonteCarloPoints",
    "PlacedPoints",
    "PointSet",
    "Points",
    "Polygon",
    "Region",
    "Space",
    "affordable_refine",
    "assemble_cells",
    "axis_names",
    "bare_points",
    "bisect",
    "box",
    "carried_points",
    "corners_of",
    "creases",
    "disk",
    "divisible",
    "extruded",
    "facet_gauss",
    "facing",
    "functions_per_cell",
    "gauss",
    "hanging_node",
    "interleaved_sobol",
    "interval",
    "joined_nodes",
    "l_shape",
    "layered",
    "local_scale",
    "locate",
    "located_points",
    "make_mesh",
    "make_shape",
    "node_points",
    "parents",
    "polygon_of",
    "read_mesh",
    "read_mesh_data",
    "rectangle",
    "reference_cell",
    "refine",
    "replayed",
    "rounded",
    "scattered",
    "sides_of",
    "sobol_points",
    "sources_behind",
    "tag_vertices",
    "touching",
    "touching_parts",
    "with_vertices",
]

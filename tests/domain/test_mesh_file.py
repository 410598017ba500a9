from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Mesh, disk, read_mesh
from vpinn.domain import mesh_file as module
from vpinn.errors import InputError

from .meshes import SHAPED, curved

meshio = pytest.importorskip("meshio")
REFERENCES = Path(__file__).parents[3] / "shared" / "references"
TYPES = {kind: (cell, order) for kind, (cell, order, _) in module._TYPES.items()}


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a mesh file in a new process, as users do."""
    monkeypatch.setattr(module, "_run", RUN)


RUN = module._run
SQUARE_MSH = textwrap.dedent("""\
    $MeshFormat
    2.2 0 8
    $EndMeshFormat
    $PhysicalNames
    2
    1 1 "inlet side"
    2 7 "steel"
    $EndPhysicalNames
    $Nodes
    5
    1 0 0 0
    2 1 0 0
    3 1 1 0
    4 0 1 0
    5 5 5 0
    $EndNodes
    $Elements
    4
    1 1 2 1 1 1 2
    2 1 2 5 2 2 3
    3 2 2 7 1 1 2 3
    4 2 2 7 1 1 3 4
    $EndElements
    """)
SQUARE_MSH_41 = textwrap.dedent("""\
    $MeshFormat
    4.1 0 8
    $EndMeshFormat
    $PhysicalNames
    1
    1 1 "inlet side"
    $EndPhysicalNames
    $Entities
    0 1 1 0
    1 0 0 0 1 0 0 1 1 0
    1 0 0 0 1 1 0 0 0
    $EndEntities
    $Nodes
    1 4 1 5
    2 1 0 4
    1
    2
    3
    5
    0 0 0
    1 0 0
    1 1 0
    0 1 0
    $EndNodes
    $Elements
    2 3 1 3
    1 1 1 1
    3 1 2
    2 1 2 2
    1 1 2 3
    2 1 3 5
    $EndElements
    """)
SQUARE_MEDIT = textwrap.dedent("""\
    MeshVersionFormatted 2
    Dimension 2
    Vertices
    4
    0 0 0
    1 0 0
    1 1 0
    0 1 0
    Edges
    2
    1 2 3
    2 3 4
    Triangles
    2
    1 2 3 9
    1 3 4 9
    End
    """)


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def to_meshio(mesh: Mesh):
    """Return a mesh with meshio's order of nodes, computed from coordinates in the reference cell."""
    kind = next(kind for kind, value in TYPES.items() if value == (mesh.cell, mesh.order))
    return meshio.Mesh(
        np.pad(mesh.nodes, ((0, 0), (0, 3 - mesh.dimension))), [(kind, mesh.cells[:, np.argsort(module._order(kind))])]
    )


def summary(mesh: Mesh) -> list:
    """Return what must agree between two readings of a mesh."""
    return [
        (mesh.cell, mesh.order, mesh.n_cells, mesh.tags, tuple(sorted(mesh.cell_tags))),
        *(FacetPoints(mesh, mesh.facets(tag), 4).volume for tag in mesh.tags),
        CellPoints(mesh, 4).volume,
    ]


def test_gmsh_groups_become_tags_and_unnamed_ones_keep_their_number(tmp_path: Path):
    mesh = read_mesh(written(tmp_path / "a.msh", SQUARE_MSH))
    assert mesh.tags == ("inlet side", "5", "all")
    assert mesh.cell_tags["steel"].tolist() == [0, 1]
    assert mesh.nodes.shape == (4, 2)


def test_groups_survive_where_some_entities_have_none(tmp_path: Path):
    mesh = read_mesh(written(tmp_path / "a.msh", SQUARE_MSH_41))
    assert (mesh.n_cells, mesh.tags, len(mesh.facets("inlet side"))) == (2, ("inlet side", "all"), 1)


def test_medit_references_become_tags(tmp_path: Path):
    mesh = read_mesh(written(tmp_path / "a.mesh", SQUARE_MEDIT))
    assert (mesh.tags, list(mesh.cell_tags)) == (("3", "4", "all"), ["9"])


def test_node_data_in_ascii_files_do_not_matter(tmp_path: Path):
    data = '$NodeData\n1\n"u"\n1\n0.0\n3\n0\n1\n5\n1 0.5\n2 0.5\n3 0.5\n4 0.5\n5 1\n$EndNodeData\n'
    mesh = read_mesh(written(tmp_path / "a.msh", SQUARE_MSH + data))
    assert summary(mesh) == summary(read_mesh(written(tmp_path / "b.msh", SQUARE_MSH)))


@pytest.mark.parametrize("suffix", ["vtu", "msh"])
@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("name", ["interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra"])
def test_what_meshio_writes_is_read_back(tmp_path: Path, name: str, bent: bool, suffix: str):
    mesh = curved(SHAPED[name]()) if bent else SHAPED[name]()
    path = tmp_path / f"a.{suffix}"
    options = {"file_format": "gmsh22", "binary": False} if suffix == "msh" else {}
    out = to_meshio(mesh)
    if suffix == "msh":
        out.cell_data = {f"gmsh:{name}": [np.ones(mesh.n_cells, dtype=int)] for name in ("physical", "geometrical")}
    meshio.write(path, out, **options)
    again = read_mesh(path)
    whole, expected = (points.take(range(points.size)).x for points in (CellPoints(again, 3), CellPoints(mesh, 3)))
    np.testing.assert_allclose(whole, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["quad8", "hexahedron20"])
def test_serendipity_cells_keep_their_geometry(tmp_path: Path, kind: str):
    mesh = SHAPED["quadrilaterals" if kind == "quad8" else "hexahedra"]()
    bent = curved(mesh)
    full = to_meshio(bent).cells[0].data
    n = int(kind.removeprefix("quad").removeprefix("hexahedron"))
    meshio.write(tmp_path / "a.vtu", meshio.Mesh(to_meshio(bent).points, [(kind, full[:, :n])]))
    again = read_mesh(tmp_path / "a.vtu")
    assert (again.order, again.cells.shape[1]) == (2, bent.cells.shape[1])
    # a serendipity cell contains every quadratic polynomial map: bend it by one and nothing may be lost
    straight = mesh.nodes
    assert abs(CellPoints(again, 6).volume - CellPoints(bent, 6).volume) < 1e-3
    quadratic = curved(mesh, 0.0)
    x = quadratic.nodes + 0.05 * np.roll(quadratic.nodes, 1, axis=1) ** 2
    points = np.pad(x, ((0, 0), (0, 3 - mesh.dimension)))
    meshio.write(tmp_path / "b.vtu", meshio.Mesh(points, [(kind, to_meshio(quadratic).cells[0].data[:, :n])]))
    exact = read_mesh(tmp_path / "b.vtu")
    frames = exact.frames(np.arange(exact.n_cells), np.array(module.lagrange(exact.cell, 2).points))
    np.testing.assert_allclose(frames.x, x[quadratic.cells], atol=1e-14)
    assert len(straight) < len(exact.nodes)


def test_the_disk_survives_a_file_with_its_curves(tmp_path: Path):
    meshio.write(tmp_path / "a.vtu", to_meshio(disk(cells=6)))
    assert abs(CellPoints(read_mesh(tmp_path / "a.vtu"), 4).volume - np.pi) < 1e-5


def test_groups_on_inner_facets_are_reported_when_asked_for(tmp_path: Path):
    text = SQUARE_MSH.replace("1 1 2 1 1 1 2", "1 1 2 1 1 1 3")
    mesh = read_mesh(written(tmp_path / "a.msh", text))
    with pytest.raises(InputError, match="'inlet side' has no facet on the boundary"):
        mesh.facets("inlet side")


@pytest.mark.skipif(not (REFERENCES / "fastvpinns_gear.mesh").exists(), reason="reference meshes are not here")
def test_the_gear():
    mesh = read_mesh(REFERENCES / "fastvpinns_gear.mesh")
    assert (mesh.cell, mesh.n_cells, mesh.tags) == ("quadrilateral", 14192, ("1000", "1001", "all"))
    assert len(mesh.facets("1000")) + len(mesh.facets("1001")) == len(mesh.boundary) == 1524


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """Return files of a plate with a hole, meshed by gmsh and written in every format: (order, quadrilaterals) → files."""
    gmsh = pytest.importorskip("gmsh")
    folder = tmp_path_factory.mktemp("gmsh")

    def build(order: int, quads: bool) -> list[Path]:
        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        occ = gmsh.model.occ
        cut, _ = occ.cut([(2, occ.addRectangle(0, 0, 0, 2, 1))], [(2, occ.addDisk(1, 0.5, 0, 0.25, 0.25))])
        occ.synchronize()
        edges = [tag for _, tag in gmsh.model.getBoundary(cut, oriented=False)]
        hole = [tag for tag in edges if gmsh.model.getType(1, tag) in ("Circle", "Ellipse")]
        gmsh.model.addPhysicalGroup(2, [cut[0][1]], name="plate")
        gmsh.model.addPhysicalGroup(1, hole, name="the hole")
        gmsh.model.addPhysicalGroup(1, [tag for tag in edges if tag not in hole][:2])
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
        gmsh.option.setNumber("Mesh.RecombineAll", int(quads))
        gmsh.option.setNumber("Mesh.RecombinationAlgorithm", 2)
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.setOrder(order)
        paths = []
        for version in (2.2, 4.1):
            for binary in (0, 1):
                gmsh.option.setNumber("Mesh.MshFileVersion", version)
                gmsh.option.setNumber("Mesh.Binary", binary)
                paths.append(folder / f"{order}{quads}{version}{binary}.msh")
                gmsh.write(str(paths[-1]))
        gmsh.finalize()
        return paths

    return build


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("quads", [False, True])
def test_all_dialects_of_gmsh_give_the_same_mesh(plate, order: int, quads: bool):
    first, *others = (read_mesh(path) for path in plate(order, quads))
    assert sorted(first.tags) == ["2", "all", "the hole"] or sorted(first.tags) == ["3", "all", "the hole"]
    assert list(first.cell_tags) == ["plate"]
    assert first.cell == ("quadrilateral" if quads else "triangle")
    for other in others:
        assert summary(other)[0][:3] == summary(first)[0][:3]
        for tag in first.tags:
            assert abs(FacetPoints(other, other.facets(tag), 4).volume - FacetPoints(first, first.facets(tag), 4).volume) < 1e-12
    error = abs(FacetPoints(first, first.facets("the hole"), 8).volume - np.pi / 2.0)
    assert error < (1e-1 if order == 1 else 2e-3)
    if order == 2:
        assert abs(CellPoints(first, 6).volume - (2.0 - np.pi / 16.0)) < 1e-3


def lines(text: str, **changes: str) -> str:
    """Return a text with whole lines replaced; keys are L<number>, counted from 1."""
    split = text.splitlines()
    for key, value in changes.items():
        split[int(key[1:]) - 1] = value
    return "\n".join(split) + "\n"


MSH_BROKEN: dict[str, str | bytes] = {
    "empty": "",
    "one line feed": "\n",
    "binary garbage": np.random.default_rng(0).bytes(5000),
    "garbage after the header": b"$MeshFormat\n4.1 1 8\n\x01\0\0\0\n$EndMeshFormat\n" + np.random.default_rng(1).bytes(3000),
    "prose": "this is not a mesh\n",
    "header only": "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n",
    "unknown version": lines(SQUARE_MSH, L2="9.9 0 8"),
    "version is a word": lines(SQUARE_MSH, L2="two 0 8"),
    "impossible data size": lines(SQUARE_MSH, L2="4.1 0 3"),
    "claims to be binary": lines(SQUARE_MSH, L2="2.2 1 8"),
    "claims to be 4.1": lines(SQUARE_MSH, L2="4.1 0 8"),
    "names counted wrong": lines(SQUARE_MSH, L5="3"),
    "name without quotes closed": lines(SQUARE_MSH, L6='1 1 "inlet'),
    "names without numbers": lines(SQUARE_MSH, L6="inlet"),
    "node count is a word": lines(SQUARE_MSH, L10="five"),
    "node count is negative": lines(SQUARE_MSH, L10="-5"),
    "node count is huge": lines(SQUARE_MSH, L10="30000000000000"),
    "node count is beyond 64 bits": lines(SQUARE_MSH, L10="9" * 30),
    "too many nodes declared": lines(SQUARE_MSH, L10="6"),
    "too few nodes declared": lines(SQUARE_MSH, L10="3"),
    "nan coordinate": lines(SQUARE_MSH, L12="2 nan 0 0"),
    "infinite coordinate": lines(SQUARE_MSH, L12="2 inf 0 0"),
    "huge coordinate": lines(SQUARE_MSH, L12="2 1e300 0 0"),
    "coordinate is a word": lines(SQUARE_MSH, L12="2 one 0 0"),
    "coordinate missing": lines(SQUARE_MSH, L12="2 1 0"),
    "node number is zero": lines(SQUARE_MSH, L12="0 1 0 0"),
    "node number is negative": lines(SQUARE_MSH, L12="-7 1 0 0"),
    "node number is huge": lines(SQUARE_MSH, L12="2000000000000 1 0 0"),
    "all points equal": lines(SQUARE_MSH, L12="2 0 0 0", L13="3 0 0 0", L14="4 0 0 0"),
    "folded surface": lines(SQUARE_MSH, L14="4 0 1 1"),
    "element count is a word": lines(SQUARE_MSH, L18="four"),
    "element count too large": lines(SQUARE_MSH, L18="400"),
    "element count is huge": lines(SQUARE_MSH, L18="400000000000000"),
    "element of unknown type": lines(SQUARE_MSH, L21="3 999 2 7 1 1 2 3"),
    "node out of range": lines(SQUARE_MSH, L21="3 2 2 7 1 1 2 77"),
    "negative node": lines(SQUARE_MSH, L21="3 2 2 7 1 1 2 -1"),
    "node zero": lines(SQUARE_MSH, L21="3 2 2 7 1 1 0 3", L19="", L20="", L18="2"),
    "node zero in 4.1": SQUARE_MSH_41.replace("2 1 3 5", "2 1 3 0"),
    "negative node in 4.1": SQUARE_MSH_41.replace("2 1 3 5", "2 1 3 -1"),
    "missing node in 4.1": SQUARE_MSH_41.replace("2 1 3 5", "2 1 3"),
    "repeated node": lines(SQUARE_MSH, L21="3 2 2 7 1 1 2 2"),
    "repeated cell": lines(SQUARE_MSH, L21="3 2 2 7 1 1 3 4"),
    "cell without area": lines(SQUARE_MSH, L13="3 2 0 0", L22="4 2 2 7 1 1 2 4"),
    "element too short": lines(SQUARE_MSH, L21="3 2"),
    "no tags at all and too few nodes": lines(SQUARE_MSH, L21="3 2 0 1 2"),
    "mixed cells": lines(SQUARE_MSH, L21="3 3 2 7 1 1 2 3 4"),
    "tangled quadrilateral": lines(SQUARE_MSH, L18="3", L21="3 3 2 7 1 1 3 2 4", L22=""),
    "edges only": lines(SQUARE_MSH, L18="2", L21="", L22="").replace("3 1 1 0", "3 1 1 9"),
    "boundary elsewhere": lines(SQUARE_MSH, L19="1 1 2 1 1 2 4"),
    "overlapping cells": lines(SQUARE_MSH, L18="5", L22="4 2 2 7 1 1 3 4\n5 2 2 7 1 1 3 5"),
    "sections swapped": SQUARE_MSH[: SQUARE_MSH.index("$Nodes")] + SQUARE_MSH[SQUARE_MSH.index("$Elements") :],
    **{f"cut after {n} bytes": SQUARE_MSH[:n] for n in (5, 40, 100, 130, 150, 190, 220)},
}
MEDIT_BROKEN: dict[str, str | bytes] = {
    "medit empty": "",
    "medit garbage": np.random.default_rng(2).bytes(4000),
    "medit without version": SQUARE_MEDIT.split("\n", 1)[1],
    "medit version": lines(SQUARE_MEDIT, L1="MeshVersionFormatted 12"),
    "medit dimension": lines(SQUARE_MEDIT, L2="Dimension 7"),
    "medit dimension zero": lines(SQUARE_MEDIT, L2="Dimension 0"),
    "medit count": lines(SQUARE_MEDIT, L4="4000000000000"),
    "medit negative count": lines(SQUARE_MEDIT, L4="-4"),
    "medit word": lines(SQUARE_MEDIT, L5="zero 0 0"),
    "medit nan": lines(SQUARE_MEDIT, L6="nan 0 0"),
    "medit range": lines(SQUARE_MEDIT, L15="1 2 9 9"),
    "medit zero": lines(SQUARE_MEDIT, L15="0 2 3 9"),
    "medit keyword": lines(SQUARE_MEDIT, L9="Bananas"),
    "medit cut": SQUARE_MEDIT[:90],
    "medit no cells": SQUARE_MEDIT[: SQUARE_MEDIT.index("Edges")],
}
XML = '<?xml version="1.0"?>\n'
OTHER_BROKEN: dict[str, tuple[str, str | bytes]] = {
    "vtu that is msh": ("a.vtu", SQUARE_MSH),
    "msh that is medit": ("a.msh", SQUARE_MEDIT),
    "medit that is msh": ("a.mesh", SQUARE_MSH),
    "no suffix": ("mesh", SQUARE_MSH),
    "unknown suffix": ("a.banana", SQUARE_MSH),
    "text": ("a.txt", SQUARE_MSH),
    "stl": ("a.stl", "solid\nfacet\n"),
    "vtu empty": ("a.vtu", XML + "<VTKFile/>"),
    "vtu open": ("a.vtu", XML + '<VTKFile type="UnstructuredGrid"><UnstructuredGrid>'),
    "laughing vtu": (
        "a.vtu",
        XML
        + "<!DOCTYPE l ["
        + '<!ENTITY a "haha">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
        + "]><VTKFile>&j;</VTKFile>",
    ),
    "xdmf elsewhere": (
        "a.xdmf",
        XML + "<Xdmf><Domain><Grid><Topology><DataItem Format='HDF'>/etc/passwd:/x</DataItem></Topology></Grid></Domain></Xdmf>",
    ),
}
BROKEN = {
    **{name: ("a.msh", content) for name, content in MSH_BROKEN.items()},
    **{name: ("a.mesh", content) for name, content in MEDIT_BROKEN.items()},
    **OTHER_BROKEN,
}


@pytest.mark.parametrize("case", BROKEN)
def test_malformed_files_end_in_one_line(tmp_path: Path, case: str):
    name, content = BROKEN[case]
    path = written(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_mesh(path, timeout=10.0)
    assert str(caught.value).startswith(f"{path}: ")
    assert "took more than" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def make_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def make_sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(1_000_000_001)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_fifo, "not a regular file"),
        (make_loop, "cannot be opened"),
        (make_sparse, "1 to 1000000000 bytes"),
        (lambda path: path.parent, "not a regular file"),
        (lambda path: path, "cannot be opened: No such file"),
        (lambda path: path / "\0", "cannot be opened"),
        (lambda path: Path("/dev/zero"), "not a regular file"),
        (lambda path: path.with_name("x" * 300), "cannot be opened"),
    ],
)
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], Path], message: str):
    with pytest.raises(InputError, match=message):
        read_mesh(make(tmp_path / "a.msh"))


def test_the_reader_is_a_process_of_its_own_and_has_its_limits(
    tmp_path: Path, own_process: None, monkeypatch: pytest.MonkeyPatch
):
    path = written(tmp_path / "a.msh", SQUARE_MSH)
    assert read_mesh(path, timeout=60.0).n_cells == 2
    limited = f"import runpy, sys; runpy.run_path({str(module._CHILD)!r})['limit'](int(sys.argv[3]), int(sys.argv[4]))\n"
    for body, message in (
        ("import time; time.sleep(600)", "did not end within 1 s"),
        (limited + "while True: pass", "took more than 1 s"),
        ("import os; os._exit(7)", "ended with code 7"),
        ("import os; os.kill(os.getpid(), 9)", "ended with code -9"),
    ):
        monkeypatch.setattr(module, "_CHILD", written(tmp_path / "child.py", body))
        monkeypatch.setattr(module, "STUCK", 1.0 if "sleep" in body else 600.0)
        with pytest.raises(InputError, match=message):
            read_mesh(path, timeout=1.0)


def test_memory_is_limited(tmp_path: Path, own_process: None):
    path = written(tmp_path / "a.msh", lines(SQUARE_MSH, L10="500000000"))
    with pytest.raises(InputError):
        read_mesh(path, memory=1_000_000_000)


def test_mutants_are_read_or_refused(tmp_path: Path):
    generator = np.random.default_rng(7)
    for round_ in range(2):
        original = (SQUARE_MSH if round_ % 2 else SQUARE_MEDIT).encode()
        content = bytearray(original)
        for _ in range(3):
            content[generator.integers(len(content))] = generator.choice(list(b"0123456789 -.\nex$"))
        path = written(tmp_path / ("a.msh" if round_ % 2 else "a.mesh"), bytes(content))
        with contextlib.suppress(InputError):
            assert CellPoints(read_mesh(path), 2).entity_volumes.min() > 0.0

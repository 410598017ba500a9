"""Test that reading a mesh file reads no other file, unpacks no more than it should, and takes bounded time."""

from __future__ import annotations

import base64
import multiprocessing
import os
import signal
import struct
import sys
import tempfile
import types
import zlib
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from domain.test_mesh_file import SQUARE_MSH

from vpinn.domain import CellPoints
from vpinn.domain.mesh_file import FORMATS, read_mesh
from vpinn.errors import InputError
from vpinn.output.formats import vtu
from vpinn.storage import LOCK, SCRATCH, scratch

POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 1.0]])
SQUARE = meshio.Mesh(POINTS[:4], [("triangle", np.array([[0, 1, 2], [0, 2, 3]])), ("line", np.array([[0, 1], [1, 2]]))])
PYRAMID = meshio.Mesh(POINTS, [("tetra", np.array([[0, 1, 2, 4], [0, 2, 3, 4]]))])
XDMF = """<?xml version="1.0"?>{head}<Xdmf Version="3.0"><Domain><Grid Name="g">
<Geometry GeometryType="XYZ">
<DataItem DataType="Float" Precision="8" Dimensions="3 3" Format="{kind}">{points}</DataItem></Geometry>
<Topology TopologyType="Triangle" NumberOfElements="1" NodesPerElement="3">
<DataItem DataType="Int" Precision="8" Dimensions="1 3" Format="XML">0 1 2</DataItem></Topology></Grid></Domain></Xdmf>
"""
INSIDE = "0 0 0 1 0 0 0 1 0"
VTU = """<?xml version="1.0"?>{head}<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian" compressor="{how}">
<UnstructuredGrid><Piece NumberOfPoints="3" NumberOfCells="1"><Points>
<DataArray type="Float64" NumberOfComponents="3" format="binary">{points}</DataArray></Points>
<Cells><DataArray type="Int64" Name="connectivity" format="ascii">0 1 2</DataArray>
<DataArray type="Int64" Name="offsets" format="ascii">3</DataArray>
<DataArray type="Int64" Name="types" format="ascii">5</DataArray>
</Cells></Piece></UnstructuredGrid></VTKFile>
"""
ABAQUS = "*NODE\n1, 0, 0, 0\n2, 1, 0, 0\n3, 0, 1, 0\n*ELEMENT, TYPE=CPS3\n1, 1, 2, 3\n*INCLUDE, INPUT={name}\n"
LAUGHS = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
NAMED = '<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/hostname">]>'


def packed(points: bytes, how: Any = zlib) -> str:
    """Return numbers as in VTU files: the header and one compressed block, each in base 64."""
    block = how.compress(points)
    return (base64.b64encode(struct.pack("<4I", 1, len(points), 0, len(block))) + base64.b64encode(block)).decode()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("solid", [False, True])
def test_every_format_that_is_allowed_is_read(suffix: str, solid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", types.ModuleType("h5py"))  # which meshio's writer asks for and does not use
    path, name = tmp_path / f"a{suffix}", FORMATS[suffix]
    options: dict[str, Any] = {"data_format": "XML"} if name == "xdmf" else {}
    if name == "gmsh":
        name, options = "gmsh22", {"binary": solid}
    if (name, solid) == ("su2", False):  # which meshio cannot write
        path.write_text("NDIME= 2\nNELEM= 2\n5 0 1 2 0\n5 0 2 3 1\nNPOIN= 4\n0 0 0\n1 0 1\n1 1 2\n0 1 3\nNMARK= 0\n")
    else:
        meshio.write(path, PYRAMID if solid else SQUARE, file_format=name, **options)
    mesh = read_mesh(path)
    assert (mesh.n_cells, mesh.cell) == (2, "tetrahedron" if solid else "triangle")
    assert np.isclose(CellPoints(mesh, 1).volume, 1 / 3 if solid else 1.0)


@pytest.mark.parametrize("suffix", [".ele", ".node", ".h5m", ".med", ".cgns", ".e", ".xml", ".py", "", ".gz"])
def test_other_formats_are_told(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_text(SQUARE_MSH)
    with pytest.raises(InputError, match=r"mesh files end in \.msh, "):
        read_mesh(tmp_path / f"a{suffix}")


def attacks() -> dict[str, tuple[str, str | bytes, str]]:
    """Return name → file name, content, and error text. SECRET is replaced by a file in the same folder, PIPE by a pipe."""
    named = ("/etc/passwd", "/dev/zero", "SECRET", "PIPE", "secret.bin", "../secret.bin", "/proc/self/environ")
    cases: dict[str, tuple[str, str | bytes, str]] = {}
    for name in named:
        content = XDMF.format(head="", kind="Binary", points=name)
        cases[f"XDMF numbers in {name}"] = ("a.xdmf", content, "another file")
        cases[f"Abaqus includes {name}"] = ("a.inp", ABAQUS.format(name=name), "includes another file")
    cases["XDMF numbers in HDF5"] = ("a.xdmf", XDMF.format(head="", kind="HDF", points="SECRET:/x"), "cannot be read")
    cases["Abaqus includes itself"] = ("a.inp", ABAQUS.format(name="a.inp"), "includes another file")
    plain = packed(np.array(INSIDE.split(), dtype=float).tobytes())
    for kind, head in (("laughs", LAUGHS + "]>"), ("named", NAMED), ("plain", "<!DOCTYPE x>")):
        cases[f"XDMF {kind}"] = ("a.xdmf", XDMF.format(head=head, kind="XML", points="&a;" + INSIDE), "declares XML entities")
        content = VTU.format(head=head, how="vtkZLibDataCompressor", points=plain)
        cases[f"VTU {kind}"] = ("a.vtu", content, "declares XML entities")
    text = XDMF.format(head=LAUGHS + "]>", kind="XML", points="&i;").replace('"1.0"', '"1.0" encoding="utf-16"', 1)
    cases["XDMF in UTF-16"] = ("a.xdmf", text.encode("utf-16"), "not in UTF-8")
    cases["XDMF in UTF-16 without mark"] = ("a.xdmf", text.encode("utf-16-le"), "not in UTF-8")
    import lzma

    for how, library in (("vtkZLibDataCompressor", zlib), ("vtkLZMADataCompressor", lzma)):
        bomb = packed(bytes(5_000_000), library)  # three points and a cell may have a million
        cases[f"VTU bomb, {how}"] = ("a.vtu", VTU.format(head="", how=how, points=bomb), "compressed block has more than")
    return cases


ATTACKS = attacks()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_but_the_mesh_is_read(attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, content, message = ATTACKS[attack]
    folder = tmp_path / "problem"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for place in (folder, tmp_path):
        (place / "secret.bin").write_bytes(np.array(INSIDE.split(), dtype=float).tobytes())
    os.mkfifo(folder / "pipe")
    if isinstance(content, str):
        content = content.replace("SECRET", str(tmp_path / "secret.bin")).replace("PIPE", str(folder / "pipe")).encode()
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_mesh(folder / name)
    assert len(str(error.value)) < 600


def test_the_same_files_without_the_attack_are_read(tmp_path: Path) -> None:
    """So that it is the attack that is refused above."""
    plain = packed(np.array(INSIDE.split(), dtype=float).tobytes())
    for name, content in (
        ("a.xdmf", XDMF.format(head="", kind="XML", points=INSIDE)),
        ("a.vtu", VTU.format(head="", how="vtkZLibDataCompressor", points=plain)),
        ("a.inp", ABAQUS.partition("*INCLUDE")[0]),
    ):
        (tmp_path / name).write_text(content)
        assert read_mesh(tmp_path / name).n_cells == 1


def test_a_large_compressed_field_does_not_hinder(tmp_path: Path) -> None:
    mesh = meshio.Mesh(SQUARE.points, SQUARE.cells[:1], {"w": np.ones((4, 9))})
    meshio.write(tmp_path / "a.vtu", mesh)
    assert read_mesh(tmp_path / "a.vtu").n_cells == 2
    again = read_mesh(tmp_path / "a.vtu")
    (tmp_path / "b.vtu").write_bytes(vtu(again.nodes, again, {"w": np.ones(4)}, {}))
    assert read_mesh(tmp_path / "b.vtu").n_cells == 2


def _scratch(pipe: Any) -> None:
    with scratch() as folder:
        (folder / "big").write_bytes(bytes(1000))
        pipe.send(str(folder))
        pipe.recv()


def test_temporary_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_scratch, args=(theirs,))
    process.start()
    folder = Path(ours.recv())
    (tmp_path / f"{SCRATCH}foreign").mkdir()
    (tmp_path / f"{SCRATCH}file").write_text("")
    with scratch():
        assert (folder / "big").exists()  # its process lives
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (folder / LOCK).exists()
    with scratch() as mine:
        assert not folder.exists()
    assert not mine.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{SCRATCH}file", f"{SCRATCH}foreign"]

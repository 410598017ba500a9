from __future__ import annotations

from pathlib import Path

import pytest
from membrane import membrane

from vpinn.comparison.settings import combinations, settled
from vpinn.comparison.variants import Variant, make_variants
from vpinn.errors import InputError
from vpinn.placement import HERE

CELLS = 'shape = "rectangle"\ncells = 4\ncell = "quadrilateral"'
TEXT = membrane(CELLS, network="layers = [5]", quadrature="degree = 7")
"""16 points in each of 16 cells."""
UNMESHED = membrane('shape = "hypercube"\nlower = [0, 0]', network="layers = [5]", quadrature="points = 64")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "torsion.toml"
    path.write_text(TEXT)
    return path


def variants(file: Path, *vary: str, single: tuple[str, ...] = (), changes: tuple[str, ...] = ()) -> list[Variant]:
    return make_variants(file, changes, combinations(vary, single), HERE)


def labels(file: Path, *vary: str, single: tuple[str, ...] = (), changes: tuple[str, ...] = ()) -> list[str]:
    return [variant.label for variant in variants(file, *vary, single=single, changes=changes)]


def test_values_are_combined_each_with_each() -> None:
    found = combinations(["network.layers=[5,5],[9]", 'batch.sampler="uniform",sobol'], ["batch.size=4 solver.clip=1"])
    assert found == [
        {"network.layers": "[5,5]", "batch.sampler": '"uniform"'},
        {"network.layers": "[5,5]", "batch.sampler": "sobol"},
        {"network.layers": "[9]", "batch.sampler": '"uniform"'},
        {"network.layers": "[9]", "batch.sampler": "sobol"},
        {"batch.size": "4", "solver.clip": "1"},
    ]


def test_full_against_a_sixteenth_with_adam(file: Path) -> None:
    full, part = variants(file)
    assert (full.label, full.batch, full.method, full.points) == ("full", None, "adam", 256)
    assert (part.label, part.batch, part.method) == ("16 points", 16, "adam")
    assert part.problem(7).settings.batch.sampler == "stratified"
    assert part.problem(7).settings.solver.seed == 7


def test_the_methods_and_batches_of_the_file_stay(file: Path) -> None:
    file.write_text(TEXT + '[batch]\nsize = 32\nsampler = "uniform"\n[solver]\nmethod = "sgd"\nmomentum = 0.5\n')
    full, part = variants(file)
    assert (full.method, full.batch, part.method, part.batch) == ("sgd", None, "sgd", 32)
    assert part.problem(0).settings.batch.sampler == "uniform"


def test_what_means_nothing_beside_other_settings_is_left_out(file: Path) -> None:
    """L-BFGS takes all points whatever the batch, and a sampler matters to batches only."""
    assert labels(file, "batch.size=full,32", "batch.sampler=uniform,stratified", "solver.method=adam,lbfgs") == [
        "adam · full",
        "lbfgs · full",
        "adam · 32 points · uniform",
        "adam · 32 points · stratified",
    ]
    assert settled({"solver.method": "lbfgs", "solver.learning_rate": "1", "network.layers": "[4]"}) == {
        "solver.method": "lbfgs",
        "batch.size": "full",
        "network.layers": "[4]",
    }
    file.write_text(TEXT + '[batch]\nsize = 32\nallocation = "neyman"\n')
    assert labels(file, "batch.sampler=uniform,stratified") == ["full", "32 points · uniform", "32 points · stratified"]


def test_methods_get_the_batches_they_see(file: Path) -> None:
    """Evolution, Langevin and SPRING see mini-batches; SPRING sees nothing else, and is Gauss–Newton on all points."""
    assert labels(file, "solver.method=evolution,langevin", "batch.size=full,32") == [
        "evolution · full",
        "evolution · 32 points",
        "langevin · full",
        "langevin · 32 points",
    ]
    assert settled({"solver.method": "evolution", "solver.clip": "1"}) == {"solver.method": "evolution"}
    assert settled({"solver.method": "adam", "solver.temperature": "1"}) == {"solver.method": "adam"}
    file.write_text(TEXT.replace('energy = "0.5*inner(grad(u), grad(u))*dx - u*dx"', 'strong = "-div(grad(u)) - 1"'))
    full, part = variants(file, "solver.method=spring", "batch.size=full,32")
    assert (full.method, full.batch, part.method, part.batch) == ("gauss-newton", None, "spring", 32)
    full, part = variants(file, "solver.method=spring")
    assert (full.method, full.batch, part.method, part.batch) == ("gauss-newton", None, "spring", 16)
    assert [(v.method, v.batch) for v in variants(file, "solver.method=adam,spring")] == [("adam", None), ("spring", 16)]


def test_all_points_come_first(file: Path) -> None:
    assert labels(file, "batch.size=64,1/4,1/64") == ["full", "64 points", "4 points"]
    assert labels(file, "batch.sampler=uniform,sobol") == ["full", "16 points · uniform", "16 points · sobol"]
    assert labels(file, "solver.learning_rate=1e-3,1e-2") == ["learning rate 1e-3", "learning rate 1e-2"]
    assert labels(file, single=("batch.size=8", "batch.size=full solver.clip=1")) == ["full · clip 1", "8 points"]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("batch.size", "--vary: expected section.key=value,value, got 'batch.size'"),
        ("batch.size=1,,2", "--vary: expected section.key=value,value, got 'batch.size=1,,2'"),
        ("batch.sise=1,2", "variant batch.sise=1 solver.method=adam batch.size=1/16: unknown key 'sise'.*did you mean size"),
        ("batch.sampler=uniform,sobl", "variant batch.sampler=sobl .*must be one of .*did you mean 'sobol'"),
        ("batch.size=16,1000", "variant batch.size=1000 solver.method=adam: .*there are 256 quadrature points"),
        ("solver.learning_rate=-1,1", "variant solver.learning_rate=-1 .*must be > 0"),
        ("network.layers=" + ",".join(f"[{k}]" for k in range(1, 70)), "a comparison has at most 64 variants, got 69"),
    ],
)
def test_bad_input_names_the_variant(vary: str, message: str, file: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        variants(file, vary)
    assert "\n" not in str(caught.value)


def test_a_key_twice_and_a_torn_quote() -> None:
    with pytest.raises(InputError, match=r"batch\.size is given twice"):
        combinations(["batch.size=1", "batch.size=2"], [])
    with pytest.raises(InputError, match="--variant: no closing quotation"):
        combinations([], ["a.b='1"])


def test_without_truth_and_mesh_there_is_nothing_to_compare_by(file: Path) -> None:
    file.write_text(UNMESHED)
    with pytest.raises(InputError, match=r"torsion.toml: there is no error to compare by; give \[reference\] exact"):
        variants(file)

"""Comparison: several ways to solve one problem, compared at equal time and at equal accuracy over several seeds.

In goes a problem file with the settings to vary; out come a table, and ``comparison.json``, figures and a report in a folder
(`compare`).

`settings` (the combinations of settings asked for) → `variants` (the problem with each of them, checked) → `course` (one run of
one seed, its error against time) → `runs` (all runs, one at a time, each in its own process) → `statistics` (over the seeds of
a variant) → `record` (``comparison.json``), `table` and `figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vpinn.comparison import record
from vpinn.comparison.course import Course
from vpinn.comparison.figures import draw
from vpinn.comparison.record import Comparison
from vpinn.comparison.runs import Moment, Place, run_all
from vpinn.comparison.settings import combinations
from vpinn.comparison.table import as_tables, notes
from vpinn.comparison.variants import make_variants
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt
from vpinn.output import write_summary
from vpinn.placement import Placement
from vpinn.process import available_cores
from vpinn.storage import check_unused, claimed, inside

SEEDS = 3
"""Default number of seeds."""


def compare(  # noqa: PLR0913 (keywords of the public interface)
    path: Path,
    folder: Path | None = None,
    *,
    vary: Sequence[str] = (),
    single: Sequence[str] = (),
    changes: Sequence[str] = (),
    seeds: int | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[Moment], None] = lambda moment: None,
    interrupt: Interrupt | None = None,
) -> tuple[Comparison, Mapping[Place, Course], Path]:
    """Run a comparison and write comparison.json, figures and report.html into a folder.

    A signal ends it after the finished runs are saved.

    Args:
        path: Problem file.
        folder: Folder to write; None for ``results/<file stem>-compare``.
        vary: Settings to vary, as ``section.key=value,value,…``; all combinations of their values are variants.
        single: Further variants, each as ``section.key=value section.key=value …``.
        changes: Settings of all variants, as ``section.key=value``.
        seeds: Number of seeds ≥ 1, counted up from the problem's seed; None for 3, or for as many as the resumed comparison has.
        seconds: Training time of every run > 0 in s; None for the time that the first run needs for its steps.
        threads: Threads of every run ≥ 1; None for one per core.
        device: Device of every run: cpu (the default), cuda or mps.
        resume: Whether to keep the runs in the folder and do only the missing ones.
        overwrite: Whether to replace the comparison in the folder.
        report: Function that is called with the state of the comparison from time to time.
        interrupt: Signals received.

    Returns:
        The comparison, the courses of its runs by (number of variant, seed), and the folder.

    Raises:
        Stopped: A signal arrived before the first run or while figures were drawn.
        InputError: A variant cannot be solved, the problem offers no error to compare, seeds < 1, seconds ≤ 0, or the folder
            holds another comparison.
    """
    if seeds is not None and seeds < 1:
        raise InputError(f"a comparison needs at least 1 seed, got {seeds}", "--seeds")
    if seconds is not None and not 0.0 < seconds < float("inf"):
        raise InputError(f"seconds of a run are > 0, got {seconds:g}", "--seconds")
    asked = combinations(vary, single)
    interrupt = interrupt or Interrupt()
    with interrupt.abandons():
        variants = make_variants(path, changes, asked, placement := Placement.of(device, threads or available_cores()))
    problem = variants[0].problem(variants[0].first_seed)
    target = folder or problem.directory.with_name(f"{problem.directory.name}-compare")
    if folder is None:
        inside(target.parent, f"{target.name}/{record.FILE}")
        check_unused(target, record.FILE)
    with claimed(target):
        record.check_vacant(target, resume, overwrite)
        if resume:
            before = record.read_question(target)
            seeds, seconds = seeds or before["seeds"], seconds or before["seconds"]
        first = problem.settings.solver.seed
        comparison = Comparison(problem, variants, [first + k for k in range(seeds or SEEDS)], seconds, placement)
        courses = record.read_courses(target, comparison) if resume else {}

        def keep(place: Place, course: Course) -> None:
            courses[place] = course
            record.write(target, comparison, courses)

        record.write(target, comparison, courses)
        run_all(variants, comparison.seeds, seconds, placement, courses, keep, report, interrupt)
        if interrupt.signal is None:
            with interrupt.abandons():
                figures = draw(comparison, courses, target / "figures")
                title, tables = comparison.problem.title or "Comparison", as_tables(comparison, courses)
                write_summary(target, title, notes(comparison, courses), True, tables, figures)
    return comparison, courses, target


__all__ = ["SEEDS", "Comparison", "Course", "Moment", "as_tables", "compare", "draw", "notes"]

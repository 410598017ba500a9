"""Pages in HTML that need no other file: those of runs, comparisons and noise reports. Start from `write_page`."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from rich.table import Table

from vpinn.errors import StorageError
from vpinn.output.tables import Rows
from vpinn.storage import read_regular, write_atomic
from vpinn.text import escaped

CODE = "\n\r\t"
"""Control characters that are kept in texts of several lines, such as the problem file."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; }}
h2 {{ font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid #d9dee3; padding-bottom: .25rem; }}
table {{ border-collapse: collapse; }}
th {{ text-align: left; font-weight: 600; padding: .15rem 1.5rem .15rem 0; vertical-align: top; white-space: nowrap; }}
td {{ padding: .15rem 0; }}
.columns {{ display: block; overflow-x: auto; margin: 1.5rem 0; }}
.columns th, .columns td {{ padding: .15rem 1.25rem .15rem 0; vertical-align: top; }}
.verdict {{ font-size: 1.15rem; font-weight: 600; padding: .75rem 1rem; border-radius: .3rem; background: #e3f1e5; }}
.verdict.failed {{ background: #fbe4e1; }}
img {{ max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }}
.view canvas {{ width: 100%; height: min(34rem, 70vh); touch-action: none; cursor: crosshair; display: block; }}
.view .scale {{ display: flex; gap: .75rem; align-items: center; }}
#view-bar {{ flex: 1; height: .7rem; border-radius: .2rem; }}
#view-frame {{ width: 60%; vertical-align: middle; }}
#view-probe {{ font-variant-numeric: tabular-nums; }}
pre {{ background: #f4f6f8; padding: 1rem; overflow-x: auto; font-size: .85rem; border-radius: .3rem; }}
@media (max-width: 40rem) {{
  body {{ margin: 1rem auto; }}
  table:not(.columns) :is(th, td) {{ display: block; white-space: normal; padding: 0; }}
  td {{ padding-bottom: .5rem; overflow-wrap: anywhere; }}
}}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e4e7eb; background: #16191d; }}
  h2 {{ border-color: #3a424b; }}
  pre {{ background: #22272d; }}
  .verdict {{ background: #1f3a25; }}
  .verdict.failed {{ background: #4a2320; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write_page(path: Path, title: str, verdict: str, passed: bool, parts: Iterable[str]) -> Path:
    """Write a page and return its path.

    Args:
        path: The file, replaced atomically if it exists.
        title: Its title.
        verdict: The first line, in words.
        passed: Whether the verdict is good.
        parts: What follows, in HTML.

    Raises:
        StorageError: The page could not be written.
    """
    first = f'<p class="verdict {"passed" if passed else "failed"}">{shown(verdict)}</p>'
    write_atomic(path, _PAGE.format(title=shown(title), body="\n".join([first, *parts])).encode())
    return path


def write_summary(
    folder: Path, title: str, told: Sequence[str], passed: bool, tables: Iterable[Table], figures: Iterable[Path], text: str = ""
) -> Path:
    """Write ``report.html`` of a comparison or noise report into its folder, and return its path.

    Args:
        folder: The folder.
        title: Title of the page.
        told: Sentences, of which the first is the verdict.
        passed: Whether the verdict is good.
        tables: Tables of the console.
        figures: Files of figures.
        text: Text of several lines that is shown as it is.

    Raises:
        StorageError: A figure could not be read, or the page not be written.
    """
    parts = [f"<p>{shown(text)}</p>" for text in told[1:]] + [_columns(table) for table in tables]
    parts += [code(text)] if text else []
    parts += [picture(path, path.stem.replace("_", " ").capitalize()) for path in figures]
    return write_page(folder / "report.html", title, told[0], passed, parts)


def table(rows: Rows) -> str:
    """Return rows of a label and a text as a table."""
    lines = [f"<tr><th>{shown(label)}</th><td>{shown(text)}</td></tr>" for label, text in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _columns(content: Table) -> str:
    """Return a table of the console."""
    head = "".join(f"<th>{shown(str(column.header))}</th>" for column in content.columns)
    rows = zip(*(column.cells for column in content.columns), strict=True)
    lines = ("".join(f"<td>{shown(str(cell))}</td>" for cell in row) for row in rows)
    return f'<table class="columns"><tr>{head}</tr>\n' + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


def picture(path: Path, heading: str) -> str:
    """Return a figure under its heading; "" if there is no such file."""
    content = read(path)
    if content is None:
        return ""
    source = base64.b64encode(content).decode()
    return f'<h2>{heading}</h2>\n<img alt="{heading}" src="data:image/png;base64,{source}">'


def code(text: str) -> str:
    """Return a text of several lines."""
    return f"<pre>{shown(text, keep=CODE)}</pre>"


def shown(text: str, keep: str = "") -> str:
    """Return a text for HTML, with its control characters, except those to keep, as visible escapes."""
    return escape(escaped(text, keep))


def read(path: Path) -> bytes | None:
    """Return the content of a file, None if there is no such file."""
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None

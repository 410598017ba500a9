"""The small problem that tests of folders, signals and commands solve: −Δu = 1, as the text of a problem file."""

from __future__ import annotations


def membrane(domain: str = 'shape = "interval"\ncells = 4', value: str = "0", title: str = "", **sections: str) -> str:
    """Return the problem file, which begins with an empty line.

    Args:
        domain: content of that section.
        value: on the whole boundary.
        title: none by default.
        sections: content of others, in this order.
    """
    named = f'title = "{title}"\n' if title else ""
    more = "".join(f"[{name}]\n{content}\n" for name, content in sections.items())
    return f"""
{named}[domain]
{domain}
[unknowns]
u = "scalar"
[form]
energy = "0.5*inner(grad(u), grad(u))*dx - u*dx"
[[boundary]]
on = "all"
value = {value}
{more}"""

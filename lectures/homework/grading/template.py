"""The library's own file as an assignment: the listed functions keep their docstrings and lose their bodies."""

import ast
import importlib.util
import re
from pathlib import Path


def solution(file, modules=()):
    """Return the library's file as a file that stands alone, with absolute imports in place of relative ones.

    Parameters
    ----------
    file : File
    modules : collection of str
        The modules of the homework: they lie beside the file and are imported by their short names.

    Returns
    -------
    str
    """
    spec = importlib.util.find_spec(file.module)
    lines = Path(spec.origin).read_text(encoding="utf-8").splitlines(keepends=True)
    package = file.module if spec.submodule_search_locations else spec.parent
    nodes = [node for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.ImportFrom)]
    for node in sorted(nodes, key=lambda node: -node.lineno):
        _replace(lines, node.lineno, node.end_lineno, _absolute(node, package, modules))
    return "".join(lines)


def template(file, modules=(), *, whole=False):
    """Return the file of :func:`solution` with the listed functions emptied and without the names to be removed.

    Parameters
    ----------
    file : File
    modules : collection of str
        As for :func:`solution`.
    whole : bool
        Empty the names to be removed instead, because other modules may import them.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the module lacks a name that the homework lists.
    """
    lines = solution(file, modules).splitlines(keepends=True)
    found = dict(_definitions(ast.parse("".join(lines))))
    if missing := {*file.functions, *file.removed} - set(found):
        raise ValueError(f"{file.module} has no {', '.join(sorted(missing))}")
    for name in sorted((*file.functions, *file.removed), key=lambda name: -found[name].lineno):
        if name in file.removed and not whole:
            _remove(lines, found[name])
        else:
            _empty(lines, found[name])
    return "".join(lines)


def _definitions(tree, prefix=""):
    """Yield all functions and classes with their dotted names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{prefix}{node.name}.")


def _remove(lines, node):
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    end = node.end_lineno
    while end < len(lines) and not lines[end].strip():
        end += 1
    del lines[start - 1 : end]


def _empty(lines, node):
    documented = ast.get_docstring(node) is not None
    rest = node.body[1:] if documented else node.body
    indent = " " * node.body[0].col_offset
    if documented:
        start = node.body[0].end_lineno + 1
    else:
        start = rest[0].lineno
        while lines[start - 2].lstrip().startswith("#"):
            start -= 1
    end = node.end_lineno if rest else start - 1
    nothing = "pass" if isinstance(node, ast.ClassDef) else "raise NotImplementedError"
    lines[start - 1 : end] = [f"{indent}{nothing}\n"]


def _replace(lines, first, last, statement):
    indent = re.match(r"\s*", lines[first - 1]).group()
    comment = re.search(r"\s*#.*$", lines[last - 1].rstrip("\n"))
    text = "\n".join(indent + part for part in statement)
    lines[first - 1 : last] = [text + (comment.group() if comment else "") + "\n"]


def _absolute(node, package, modules):
    """Return the lines of an import that works from anywhere."""
    source = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
    if source in modules:
        return [f"from {source.rpartition('.')[2]} import {_aliases(node.names)}"]
    beside = [alias for alias in node.names if f"{source}.{alias.name}" in modules]
    others = [alias for alias in node.names if alias not in beside]
    lines = [f"from {source} import {_aliases(others)}"] if others else []
    return lines + [f"import {_aliases([alias])}" for alias in beside]


def _aliases(names):
    return ", ".join(ast.unparse(alias) for alias in names)

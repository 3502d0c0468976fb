"""Fingerprint of the code that a stage can reach: changes when its behaviour can, and only then.

A rule carries this text among its params, so that Snakemake reruns a stage when a module that it imports, directly
or through others, has changed. Comments, docstrings, layout and the place of the checkout do not count.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST_PARTY = ("anatomical_embedding", "workflow_scripts")


@cache
def code_of(stage: str) -> str:
    """Return the fingerprint of the module `workflow_scripts.<stage>` and all first-party modules it can import.

    Raises
    ------
    FileNotFoundError
        if there is no such stage.
    """
    digest = hashlib.sha256()
    for module in sorted(reachable_modules(f"workflow_scripts.{stage}")):
        digest.update(f"{module}\n{_syntax_of(_module_path(module))}\n".encode())
    return digest.hexdigest()[:16]


@cache
def code_of_program(folder: str) -> str:
    """Return the fingerprint of the C++ program in a folder of the repository: its sources and how they are built."""
    digest = hashlib.sha256()
    base = REPOSITORY / folder
    for path in [base / "CMakeLists.txt", *sorted(base.glob("src/*.[ch]pp"))]:
        digest.update(f"{path.relative_to(base)}\n{path.read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()[:16]


def reachable_modules(module: str) -> set[str]:
    """Return the names of a module and of the first-party modules that it imports, directly or through others."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports_of(_module_path(name)))
    return found


def _module_path(module: str) -> Path:
    base = REPOSITORY.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=path.name)


@cache
def _imports_of(path: Path) -> tuple[str, ...]:
    """Return the first-party modules named in import statements anywhere in a file."""
    names = []
    for node in ast.walk(_tree_of(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(name for name in names if name.split(".")[0] in FIRST_PARTY and _module_path(name).is_file())


@cache
def _syntax_of(path: Path) -> str:
    """Return the syntax tree of a file as text, without docstrings and positions."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [entry for entry in node.body if not _is_bare_text(entry)]
    return ast.dump(tree)


def _is_bare_text(node: ast.stmt) -> bool:
    """Return whether a statement is a text and nothing else: a docstring or the description of a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

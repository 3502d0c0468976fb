"""Fingerprint of the code that a stage can reach: changes when its results can, and only then.

A rule carries this text among its params, so that Snakemake reruns a stage when a module that it imports, directly
or through others, has changed. Comments, docstrings, layout and the place of the checkout do not count; nor do the
words of an error, of a line in the log and of `--help`, nor the modules of `PLUMBING`.
"""

import ast
import contextlib
import hashlib
import json
import sys
from functools import cache
from pathlib import Path

from anatomical_embedding.errors import OutputFileError
from anatomical_embedding.files import written_atomically

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST_PARTY = ("anatomical_embedding", "workflow_scripts")
PROGRESS = "anatomical_embedding.progress"
PLUMBING = frozenset(
    {
        PROGRESS,
        "anatomical_embedding.code_fingerprint",
        "anatomical_embedding.errors",
        "anatomical_embedding.files",
        "anatomical_embedding.provenance",
        "anatomical_embedding.settings.validation_message",
        "anatomical_embedding.swift_end",
        "anatomical_embedding.versions",
        "workflow_scripts.command_line",
    }
)
"""Modules that carry results and compute none: they report, write files whole, note what ran, read a command line, end.

Neither they nor what only they import count. A test holds that none of them handles arrays."""

HELP_WORDS = frozenset({"help", "metavar"})
"""What `add_argument` is told for people alone."""


KEPT = Path(__file__).parent / "__pycache__" / "code_fingerprint.json"
"""What was found in each source, with the checksum of what it was found in, for the next start of a workflow."""


@cache
def code_of(stage: str) -> str:
    """Return the fingerprint of the module `workflow_scripts.<stage>` and all first-party modules it can import.

    Raises
    ------
    FileNotFoundError
        if there is no such stage.
    """
    digest = hashlib.sha256()
    for module in sorted(modules_that_count(f"workflow_scripts.{stage}")):
        digest.update(f"{module} {_found_in(_module_path(module))['syntax']}\n".encode())
    _keep_for_the_next_start()
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
    return _reached(module, left_out=frozenset())


def modules_that_count(module: str) -> set[str]:
    """Return those of the reachable modules that results can depend on: all but `PLUMBING` and what that imports."""
    return _reached(module, left_out=PLUMBING)


def syntax_that_counts(source: str) -> str:
    """Return the syntax tree of a Python source as text, without positions and what only people read.

    Examples
    --------
    >>> first = syntax_that_counts("if not scans: raise ValueError('no scans')  # of this patient")
    >>> first == syntax_that_counts("if not scans: raise ValueError('expected a scan')")
    True
    >>> first == syntax_that_counts("if scans: raise ValueError('no scans')")
    False
    """
    return _dumped(ast.parse(source))


def _reached(module: str, *, left_out: frozenset[str]) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in left_out:
            found.add(name)
            waiting.extend(_imports_of(_module_path(name)))
    return found


@cache
def _module_path(module: str) -> Path:
    base = REPOSITORY.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _imports_of(path: Path) -> tuple[str, ...]:
    """Return the first-party modules named in import statements anywhere in a file."""
    return tuple(name for name in _found_in(path)["imports"] if _module_path(name).is_file())


@cache
def _found_in(path: Path) -> dict:
    """Return the first-party names that a file imports, and the checksum of its syntax that counts."""
    content = path.read_bytes()
    name, checksum = path.relative_to(REPOSITORY).as_posix(), hashlib.sha256(content).hexdigest()
    sources = _kept()["sources"]
    if name not in sources or sources[name]["checksum"] != checksum:
        tree = ast.parse(content, filename=path.name)
        imports = _first_party_names(tree)
        syntax = hashlib.sha256(_dumped(tree).encode()).hexdigest()
        sources[name] = {"checksum": checksum, "imports": imports, "syntax": syntax}
        _kept()["is_whole"] = False
    return sources[name]


@cache
def _kept() -> dict:
    """Return what the last start of a workflow kept, if it read sources as this one does."""
    reader = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes()).hexdigest()
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        if kept["reader"] == reader:
            return kept
    return {"reader": reader, "sources": {}, "is_whole": True}


def _keep_for_the_next_start() -> None:
    """Keep what was found in sources; where nothing may be written, the next start reads them again."""
    if not _kept()["is_whole"]:
        _kept()["is_whole"] = True
        with contextlib.suppress(OutputFileError, OSError), written_atomically(KEPT) as temporary:
            temporary.write_text(json.dumps(_kept()), encoding="utf-8")


def _first_party_names(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] in FIRST_PARTY]


def _dumped(tree: ast.Module) -> str:
    """Return a syntax tree as text, without what only people read; the tree is changed."""
    return ast.dump(_WithoutWords(tree).visit(tree))


class _WithoutWords(ast.NodeTransformer):
    """Takes out of a tree what only people read: docstrings and the words of errors, log lines and `--help`.

    Parameters
    ----------
    tree : the whole file; its imports tell which functions show progress.
    """

    def __init__(self, tree: ast.Module):
        self._shows_progress = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == PROGRESS
            for alias in node.names
        }

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        """Drop the import of progress, so that a first log line in a file does not count."""
        return None if node.module == PROGRESS else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        """Drop a bare text, which is a docstring or the description of a field; keep of a log line what it calls."""
        if _is_text(node.value):
            return None
        if isinstance(node.value, ast.Call) and self._is_progress(node.value.func):
            return _called_in(node.value)
        self.generic_visit(node)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        """Empty the words of what is raised."""
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call):
            _silence(node.exc)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Empty the words of an error, of `--help`, and of what a bar of progress is called."""
        self.generic_visit(node)
        name = _name_of(node.func)
        if name.endswith("Error"):
            _silence(node)
        elif name == "add_argument":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in HELP_WORDS]
        elif self._is_progress(node.func):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return node

    def _is_progress(self, function: ast.expr) -> bool:
        return isinstance(function, ast.Name) and function.id in self._shows_progress


def _called_in(line: ast.Call) -> ast.stmt | None:
    """Return the calls and assignments among the arguments of a log line, which may do more than tell; or None.

    A call of a text's own method, such as `"{} volumes".format(count)`, tells and no more.
    """
    acting = [
        node
        for argument in line.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Call | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)
        and not (isinstance(node, ast.Call) and _is_method_of_text(node.func))
    ]
    return (
        ast.Expr(ast.Tuple([_WithoutWords(ast.Module([], [])).visit(node) for node in acting]))
        if acting
        else None
    )


def _silence(call: ast.Call) -> None:
    """Empty the texts among the arguments of a call."""
    call.args = [ast.Constant("") if _is_words(argument) else argument for argument in call.args]
    for keyword in call.keywords:
        if _is_words(keyword.value):
            keyword.value = ast.Constant("")


def _is_words(node: ast.expr) -> bool:
    """Return whether an expression is a text, one with values in it, or several of them joined by `+`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_words(node.left) or _is_words(node.right)
    return isinstance(node, ast.JoinedStr) or _is_text(node)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_method_of_text(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and _is_text(function.value)


def _name_of(function: ast.expr) -> str:
    """Return the last name of what is called, "" where it has none."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""

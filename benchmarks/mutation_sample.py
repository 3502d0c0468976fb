"""How many of a seeded sample of small faults the unit tests find: the measure that a faster suite must not lower.

FOLDER/bin/pip install cosmic-ray==8.7.0
git archive COMMIT | tar --extract --directory=CHECKOUT
FOLDER/bin/python benchmarks/mutation_sample.py --checkout CHECKOUT --python .venv/bin/python --seed 1 --num-mutants 150

Each mutant of `matching`, `losses`, `registration`, `volumes` and `evaluation` meets the unit tests of the twelve files
that are nearest to its module, of these the tests that call the changed function or start a process, and is found when
one of them fails or takes three times its CPU time; those marked `slow` are asked last. What each test calls is noted
once, without a mutant. Tests run in forks of a process that has loaded what they import from elsewhere
(`benchmarks/forked_pytest.py`). Mutants are tried in the order of the draw, so those that were tried when the time is
up are a sample themselves.
"""

import argparse
import ast
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db

PACKAGE = "anatomical_embedding"
AREAS = ("matching", "losses", "registration", "volumes", "evaluation")
IN_ANNOTATIONS = "core/ReplaceBinaryOperator_BitOr_"
"""An or of bits stands in type annotations here, where its change is found by every import."""
OF_PRODUCTS = "core/ReplaceBinaryOperator_Mul_"
"""The star that begins a function's keyword arguments is taken for one too; no call shows its change."""
MARKS = ("not slow and not real_data", "slow and not real_data")
MOST_TEST_FILES = 12
SHORTEST_LIMIT_SECONDS = 10.0
LONGEST_WITHOUT_SECONDS = 600.0
STARTS_A_PROCESS = ("", 0)
"""What stands for a process among the functions that a test calls."""
FORKED_PYTEST = Path(__file__).with_name("forked_pytest.py").absolute()


def main() -> int:
    """Print the share of mutants that were found, for each area and in all, and the others one by one."""
    arguments = parse_arguments()
    os.chdir(arguments.checkout)
    sys.path.insert(0, str(Path.cwd()))
    if Path(".git").exists():
        sys.exit(f"{arguments.checkout} is a checkout of git; sources are changed, so give a copy")
    modules = [path for area in AREAS for path in sorted(Path(PACKAGE, area).rglob("*.py"))]
    mutants = drawn(mutants_of(modules), arguments.num_mutants, random.Random(arguments.seed))  # noqa: S311
    found, tried = Counter(), Counter()
    tests = Tests(arguments.python)
    began = time.monotonic()
    for mutant in mutants:
        if time.monotonic() - began > arguments.most_seconds:
            print(f"stopped after {arguments.most_seconds:.0f} seconds: the rest of the sample was not tried")
            break
        is_found = any(is_found_by(tests, mutant, marks=marks) for marks in MARKS)
        area = Path(mutant.module_path).parts[1]
        tried[area] += 1
        found[area] += is_found
        if not is_found:
            print(f"not found: {mutant.module_path}:{mutant.start_pos[0]} {mutant.operator_name}", flush=True)
    for area in AREAS:
        print(f"{area:<14}{found[area]:>5} of {tried[area]}")
    print(f"{'all':<14}{found.total():>5} of {tried.total()}, {found.total() / tried.total():.1%}")
    print(f"{tests.cpu_seconds:.0f} CPU s; fail without a mutant: {', '.join(tests.failing) or 'none'}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkout", type=Path, required=True, help="copy of the sources, which will be changed"
    )
    parser.add_argument("--python", type=Path, required=True, help="interpreter that has what the tests need")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--num-mutants", type=int, required=True)
    parser.add_argument("--most-seconds", type=float, default=float("inf"), help="stop after this time")
    arguments = parser.parse_args()
    arguments.python = arguments.python.absolute()
    return arguments


def mutants_of(modules: list[Path]) -> list:
    """Return all mutants of some modules, in an order that only the sources decide."""
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init(modules, database, {})
        mutants = [item.mutations[0] for item in database.work_items]
    chosen = [
        mutant
        for mutant in mutants
        if not (mutant.operator_name.startswith(IN_ANNOTATIONS) or begins_keywords(mutant))
    ]
    return sorted(
        chosen, key=lambda mutant: (str(mutant.module_path), mutant.operator_name, mutant.occurrence)
    )


def begins_keywords(mutant) -> bool:
    """Say whether a mutant changes the star before the keyword arguments of a function."""
    if not mutant.operator_name.startswith(OF_PRODUCTS):
        return False
    line, column = mutant.start_pos
    return lines_of(mutant.module_path)[line - 1][column + 1 :].lstrip().startswith(",")


@cache
def lines_of(module: Path) -> list[str]:
    """Return the lines of a module."""
    return Path(module).read_text(encoding="utf-8").split("\n")


def drawn(mutants: list, number: int, generator: random.Random) -> list:
    """Draw places of the sources, and one mutant of each: an operator of arithmetic has ten, a comparison five."""
    places = defaultdict(list)
    for mutant in mutants:
        places[mutant.module_path, mutant.start_pos].append(mutant)
    return [generator.choice(places[place]) for place in generator.sample(sorted(places), number)]


def is_found_by(tests: "Tests", mutant, *, marks: str) -> bool:
    """Say whether a test with some marks fails with a mutant, or does not end; without tests nothing finds it."""
    module = Path(mutant.module_path)
    files = tests_of(module)
    for path in files:
        tests.watch(path, marks=marks)
    function = function_at(module, mutant.start_pos[0])
    operator = get_operator(mutant.operator_name)(**mutant.operator_args)
    with use_mutation(module, operator, mutant.occurrence) as (_, mutated_code):
        if mutated_code is None:
            sys.exit(f"{module}:{mutant.start_pos[0]}: no {mutant.operator_name} there")
        # Two mutants of one size within a second would look like one to the import.
        Path(cache_from_source(str(module))).unlink(missing_ok=True)
        is_found = tests.fail(tests.reaching(function, files=files, marks=marks), marks=marks)
    Path(cache_from_source(str(module))).unlink(missing_ok=True)
    return is_found


def function_at(module: Path, line: int) -> tuple[str, int] | None:
    """Return the innermost function around a line, by its file and first line, or None outside of functions."""
    inside = [
        node
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= node.end_lineno
    ]
    if not inside:
        return None
    node = max(inside, key=lambda node: node.lineno)
    return str(module), min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


class Tests:
    """The tests of a checkout, file by file, and what each of them calls without a mutant."""

    def __init__(self, python: Path) -> None:
        self.failing: list[str] = []
        self.cpu_seconds = 0.0
        self._reached: dict[tuple[Path, str], dict[str, set[tuple[str, int]]]] = {}
        self._needed: dict[tuple[Path, str], float] = {}
        self._server = subprocess.Popen(
            [python, FORKED_PYTEST],
            env=os.environ
            | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def watch(self, path: Path, *, marks: str) -> None:
        """Run the tests of a file that have some marks once, without a mutant, unless that was done."""
        if (path, marks) in self._reached:
            return
        with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as notes:
            _, needed = self._run([path], marks=marks, watch=notes.name, cpu_seconds=LONGEST_WITHOUT_SECONDS)
            reached, failing = json.load(notes)
        self.failing += failing
        self._needed[path, marks] = needed
        self._reached[path, marks] = {
            test: set(map(tuple, called)) for test, called in reached.items() if test not in failing
        }

    def reaching(
        self, function: tuple[str, int] | None, *, files: list[Path], marks: str
    ) -> dict[Path, list[str]]:
        """Return by file the tests that call a function or start a process, for None all tests."""
        found = {
            path: [
                test
                for test, called in self._reached[path, marks].items()
                if function is None or function in called or STARTS_A_PROCESS in called
            ]
            for path in files
        }
        return {path: tests for path, tests in found.items() if tests}

    def fail(self, chosen: dict[Path, list[str]], *, marks: str) -> bool:
        """Say whether one of some tests fails or takes too long."""
        if not chosen:
            return False
        limit = max(SHORTEST_LIMIT_SECONDS, 3 * sum(self._needed[path, marks] for path in chosen))
        only = [test for tests in chosen.values() for test in tests]
        return self._run([*chosen], marks=marks, only=only, cpu_seconds=limit)[0] != 0

    def _run(
        self,
        files: list[Path],
        *,
        marks: str,
        cpu_seconds: float,
        only: list[str] | None = None,
        watch: str | None = None,
    ) -> tuple[int, float]:
        order = {
            "files": list(map(str, files)),
            "marks": marks,
            "only": only,
            "cpu_seconds": cpu_seconds,
            "watch": watch,
        }
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code, seconds = json.loads(self._server.stdout.readline())
        self.cpu_seconds += seconds
        return code, seconds


def tests_of(module: Path) -> list[Path]:
    """Return the files of unit tests that reach a module: those that name it, else through fewest others."""
    name = ".".join(module.with_suffix("").parts)
    reached = {path: _reached(path) for path in sorted(Path("tests/unit").glob("test_*.py"))}
    chosen = [path for path, modules in reached.items() if name in modules]

    def distance(path: Path) -> tuple:
        return module.stem not in path.stem, name not in _named(path), len(reached[path]), path

    return sorted(chosen, key=distance)[:MOST_TEST_FILES]


@cache
def _reached(test: Path) -> set[str]:
    from anatomical_embedding.code_fingerprint import reachable_modules  # noqa: PLC0415 - that of the checkout

    return {reached for name in _named(test) for reached in reachable_modules(name)}


@cache
def _named(test: Path) -> set[str]:
    """Return the first-party modules that a test imports or starts, itself or by a helper beside the tests."""
    text = test.read_text(encoding="utf-8")
    text = re.sub(
        r"from (\S+) import (\([^)]*\)|.*)",
        lambda found: " ".join(f"{found[1]}.{word}" for word in re.findall(r"\w+", found[2])),
        text,
    )
    names = set()
    for dotted in re.findall(rf"\b(?:{PACKAGE}|workflow_scripts|tests)[.\w]*", text):
        parts = dotted.split(".")
        while parts and not Path(*parts).with_suffix(".py").is_file():
            parts.pop()
        if parts[:1] != ["tests"]:
            names |= {".".join(parts)} if parts else set()
        elif not parts[-1].startswith("test_"):
            names |= _named(Path(*parts).with_suffix(".py"))
    return names


if __name__ == "__main__":
    sys.exit(main())

"""How many of a seeded sample of small faults the unit tests find: the measure that a faster suite must not lower.

FOLDER/bin/pip install cosmic-ray==8.7.0
git archive COMMIT | tar --extract --directory=CHECKOUT
FOLDER/bin/python benchmarks/mutation_sample.py --checkout CHECKOUT --python .venv/bin/python --seed 1 --num-mutants 150

Each mutant of `matching`, `losses`, `registration`, `volumes` and `evaluation` meets the unit tests that import its
module, the most specific first, and is found when one of them fails or takes three times as long as without it.
"""

import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import time
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import TestOutcome
from cosmic_ray.work_db import WorkDB, use_db

PACKAGE = "anatomical_embedding"
AREAS = ("matching", "losses", "registration", "volumes", "evaluation")
IN_ANNOTATIONS = "core/ReplaceBinaryOperator_BitOr_"
"""An or of bits stands in type annotations here, where its change is found by every import."""
MOST_TEST_FILES = 4
SHORTEST_LIMIT_SECONDS = 20.0


def main() -> int:
    """Print the share of mutants that were found, for each area and in all, and the others one by one."""
    arguments = parse_arguments()
    os.chdir(arguments.checkout)
    sys.path.insert(0, str(Path.cwd()))
    if Path(".git").exists():
        sys.exit(f"{arguments.checkout} is a checkout of git; sources are changed, so give a copy")
    modules = [path for area in AREAS for path in sorted(Path(PACKAGE, area).glob("*.py"))]
    mutants = drawn(mutants_of(modules), arguments.num_mutants, random.Random(arguments.seed))  # noqa: S311
    found, tried = Counter(), Counter()
    commands: dict[str, tuple[str, float] | None] = {}
    began = time.monotonic()
    for mutant in sorted(mutants, key=lambda mutant: (mutant.module_path, mutant.start_pos)):
        if time.monotonic() - began > arguments.most_seconds:
            print(f"stopped after {arguments.most_seconds:.0f} seconds: the rest of the sample was not tried")
            break
        path = str(mutant.module_path)
        if path not in commands:
            commands[path] = test_command(Path(path), arguments.python)
        is_found = is_found_by(commands[path], mutant)
        area = Path(path).parent.name
        tried[area] += 1
        found[area] += is_found
        if not is_found:
            print(f"not found: {path}:{mutant.start_pos[0]} {mutant.operator_name}", flush=True)
    for area in AREAS:
        print(f"{area:<14}{found[area]:>5} of {tried[area]}")
    print(f"{'all':<14}{found.total():>5} of {tried.total()}, {found.total() / tried.total():.1%}")
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
    chosen = [mutant for mutant in mutants if not mutant.operator_name.startswith(IN_ANNOTATIONS)]
    return sorted(
        chosen, key=lambda mutant: (str(mutant.module_path), mutant.operator_name, mutant.occurrence)
    )


def drawn(mutants: list, number: int, generator: random.Random) -> list:
    """Draw places of the sources, and one mutant of each: an operator of arithmetic has ten, a comparison five."""
    places = defaultdict(list)
    for mutant in mutants:
        places[mutant.module_path, mutant.start_pos].append(mutant)
    return [generator.choice(places[place]) for place in generator.sample(sorted(places), number)]


def is_found_by(command: tuple[str, float] | None, mutant) -> bool:
    """Say whether a command fails with a mutant, or does not end; without a command nothing finds it."""
    if command is None:
        return False
    return mutate_and_test([mutant], *command).test_outcome is not TestOutcome.SURVIVED


def test_command(module: Path, python: Path) -> tuple[str, float] | None:
    """Return the command that runs the tests of a module and for how many seconds it may, or None without tests."""
    tests = tests_of(module)
    if not tests:
        return None
    words = [python, "-m", "pytest", "-x", "-q", "-m", "not slow and not real_data"]
    words += ["-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0", *tests]
    command = shlex.join(map(str, words))
    began = time.monotonic()
    done = subprocess.run(shlex.split(command), check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{command}: fails without a mutant\n{done.stdout}{done.stderr}")
    return command, max(SHORTEST_LIMIT_SECONDS, 3 * (time.monotonic() - began))


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
    """Return the first-party modules that a test imports or starts."""
    text = test.read_text(encoding="utf-8")
    text = re.sub(
        r"from (\S+) import (\([^)]*\)|.*)",
        lambda found: " ".join(f"{found[1]}.{word}" for word in re.findall(r"\w+", found[2])),
        text,
    )
    names = set()
    for dotted in re.findall(rf"(?:{PACKAGE}|workflow_scripts)[.\w]*", text):
        parts = dotted.split(".")
        while parts and not Path(*parts).with_suffix(".py").is_file():
            parts.pop()
        names |= {".".join(parts)} if parts else set()
    return names


if __name__ == "__main__":
    sys.exit(main())

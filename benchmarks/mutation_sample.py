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
from collections import Counter
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
    if Path(".git").exists():
        sys.exit(f"{arguments.checkout} is a checkout of git; sources are changed, so give a copy")
    modules = [path for area in AREAS for path in sorted(Path(PACKAGE, area).glob("*.py"))]
    mutants = random.Random(arguments.seed).sample(mutants_of(modules), arguments.num_mutants)  # noqa: S311
    found, tried = Counter(), Counter()
    commands: dict[str, tuple[str, float]] = {}
    began = time.monotonic()
    for mutant in sorted(mutants, key=lambda mutant: (mutant.module_path, mutant.start_pos)):
        if time.monotonic() - began > arguments.most_seconds:
            print(f"stopped after {arguments.most_seconds:.0f} seconds: the rest of the sample was not tried")
            break
        path = str(mutant.module_path)
        if path not in commands:
            commands[path] = test_command(Path(path), arguments.python)
        result = mutate_and_test([mutant], *commands[path])
        area = Path(path).parent.name
        tried[area] += 1
        found[area] += result.test_outcome is not TestOutcome.SURVIVED
        if result.test_outcome is TestOutcome.SURVIVED:
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


def test_command(module: Path, python: Path) -> tuple[str, float]:
    """Return the command that runs the tests of a module, and for how many seconds it may run."""
    words = [python, "-m", "pytest", "-x", "-q", "-m", "not slow and not real_data"]
    words += ["-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0", *tests_of(module)]
    command = shlex.join(map(str, words))
    began = time.monotonic()
    done = subprocess.run(shlex.split(command), check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{command}: fails without a mutant\n{done.stdout}{done.stderr}")
    return command, max(SHORTEST_LIMIT_SECONDS, 3 * (time.monotonic() - began))


def tests_of(module: Path) -> list[Path]:
    """Return the files of unit tests that import a module, or its area where none does; the most specific first."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(Path("tests/unit").glob("test_*.py"))}
    own, area = module.with_suffix("").parts, module.parent.name
    imports = rf"{PACKAGE}\.{area}\.{own[-1]}\b|from {PACKAGE}\.{area} import .*\b{own[-1]}\b"
    chosen = [path for path, text in texts.items() if re.search(imports, text)]
    chosen = chosen or [path for path, text in texts.items() if f"{PACKAGE}.{area}" in text]
    return sorted(chosen, key=lambda path: (own[-1] not in path.stem, texts[path].count(PACKAGE), path))[
        :MOST_TEST_FILES
    ]


if __name__ == "__main__":
    sys.exit(main())

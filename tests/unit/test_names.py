"""A public name of the library means one thing, so that a search for it finds one definition."""

import ast
from collections import defaultdict

from anatomical_embedding.code_fingerprint import REPOSITORY


def test_no_two_modules_define_one_public_name():
    places = defaultdict(list)
    for path in sorted(REPOSITORY.glob("anatomical_embedding/**/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(REPOSITORY).as_posix())
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}

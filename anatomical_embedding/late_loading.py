"""Parts of numpy that load when something in them is first looked up.

scipy takes every name that numpy has when it loads, and with two of them, which nothing here uses, comes what compiles
Fortran and what tests: a tenth of a stage that is over in half a second.
"""

import importlib.util
import sys

LEFT_FOR_LATER = ("numpy.f2py", "numpy.testing")


def leave_for_later() -> None:
    """Put these parts in their places without loading them; those that are there already stay."""
    for name in LEFT_FOR_LATER:
        spec = importlib.util.find_spec(name)  # which loads numpy itself
        if name in sys.modules or spec is None or spec.loader is None:
            continue
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        parent, _, last = name.rpartition(".")
        setattr(sys.modules[parent], last, module)

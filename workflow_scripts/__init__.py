"""One thin command line per stage of the workflow.

Most stages are over in a second. While one loads, which `python -m` does after this file, the collector would look for
garbage again and again among what torch makes, a tenth of the time; `run_stage` starts it. Torch loads without what its
compiler needs. And scipy takes every name that numpy has: two of its parts, which no stage uses, load when something in
them is first looked up.
"""

import gc
import importlib.util
import sys

from anatomical_embedding.lean_torch import leave_rules_for_later

LEFT_FOR_LATER = ("numpy.f2py", "numpy.testing")


def _leave_for_later(name: str) -> None:
    """Put a part of a package in its place without loading it, as the documentation of importlib does it."""
    spec = importlib.util.find_spec(name)  # which loads the package
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    package, _, last = name.rpartition(".")
    setattr(sys.modules[package], last, module)


if sys.argv[0] == "-m":  # of this package, not of one that imports it
    gc.disable()
    leave_rules_for_later()
    for part in LEFT_FOR_LATER:
        _leave_for_later(part)

"""One thin command line per stage of the workflow.

SciPy copies all of NumPy's names into a module of its own, which loads f2py, `numpy.testing`, `numpy.ma` and more: a
fifth of what a short stage takes. In these processes NumPy names only what is loaded; the rest comes when asked for.
"""

import numpy as np

np.__all__[:] = [name for name in np.__all__ if name in vars(np)]
vars(np)["__dir__"] = lambda: list(vars(np))

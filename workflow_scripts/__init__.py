"""One thin command line per stage of the workflow.

Most stages are over in a second, so this spares them two things while they load, which `python -m` does after this
file. The collector would look for garbage again and again among what torch makes, a sixth of the time; `run_stage`
starts it. And SciPy copies all of NumPy's names, which loads f2py, `numpy.testing` and more, a fifth of the time of a
short stage; here NumPy names only what is loaded, and the rest comes when it is asked for.
"""

import gc
import sys

import numpy as np

if sys.argv[0] == "-m":  # of this package, not of one that imports it
    gc.disable()
    np.__all__[:] = [name for name in np.__all__ if name in vars(np)]
    vars(np)["__dir__"] = lambda: list(vars(np))

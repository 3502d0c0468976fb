"""One thin command line per stage of the workflow.

Most stages are over in a second. While one loads, which `python -m` does after this file, the collector would look for
garbage again and again among what torch makes, a tenth of the time; `run_stage` starts it. Parts of libraries that no
stage asks for wait until something in them is looked up.
"""

import gc
import sys

from anatomical_embedding.late_parts import leave_for_later

if sys.argv[0] == "-m":  # of this package, not of one that imports it
    gc.disable()
    leave_for_later()

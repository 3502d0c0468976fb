"""Lets torch load without what only its compiler asks for; a program that does not train imports this before torch.

torch loads `torch._meta_registrations`, which tells the compiler what every operation makes of tensors without data.
That is a quarter of the time that torch takes to load. A training needs it: an optimiser loads the compiler.
"""

import sys
from types import ModuleType

LEFT_OUT = "torch._meta_registrations"

if "torch" not in sys.modules:
    sys.modules[LEFT_OUT] = ModuleType(LEFT_OUT)

"""Has torch load without what only its compiler needs, a quarter of the time that torch takes to load.

torch ends its own import with rules for tensors that hold no data (`torch._meta_registrations`), which load its
decompositions as well. `torch.compile`, `torch.export` and the device `meta` ask for them, the use of a model does not.
The parts of torch that build on them have them loaded first, so that all of torch can still be used.
"""

import importlib
import sys
from types import ModuleType

RULES = "torch._meta_registrations"
BUILD_ON_RULES = (
    "torch._decomp",
    "torch._dynamo",
    "torch._inductor",
    "torch._prims",
    "torch._refs",
    "torch.onnx",
)


class _RulesFirst:
    """Finds no module; before one that builds on the rules is looked for, it loads them."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name in BUILD_ON_RULES:
            sys.meta_path.remove(self)
            del sys.modules[RULES]
            importlib.import_module(RULES)


def leave_rules_for_later() -> None:
    """Let the `import torch` that follows do without them; once torch is loaded there is nothing to leave."""
    if "torch" in sys.modules or RULES in sys.modules:
        return
    sys.modules[RULES] = ModuleType(RULES)
    sys.meta_path.insert(0, _RulesFirst())

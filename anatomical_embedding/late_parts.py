"""Parts of torch, numpy and scipy that load when something in them is first looked up.

`import torch` loads what its compiler and its exporter alone ask for, and scipy takes every name that numpy has: a
fourth of the time that a command takes to load. Such a part gets an empty module in its place, and the first name that
it lacks loads it. Modules of torch that are imported later, as those of its compiler, count on what the parts do when
they load, so the parts come first.
"""

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PARTS = (
    "numpy.f2py",
    "numpy.testing",
    "scipy.special",
    "torch._meta_registrations",
    "torch.distributions",
    "torch.export",
)

_LOADING = threading.RLock()
"""Held while a part loads, so that other threads wait for it."""
_STARTED: set[str] = set()
"""Parts that are loading."""


def leave_for_later() -> None:
    """Let the parts wait in every import after this; those that are loaded stay so."""
    sys.meta_path.insert(0, _LateParts())


class _LatePart(ModuleType):
    """A module that is loaded by the first look at a name that it lacks."""

    def __getattr__(self, name: str) -> Any:
        _load(self)
        return ModuleType.__getattribute__(self, name)


def _load(module: ModuleType) -> None:
    """Load a part that waits; within its own loading there is nothing to do."""
    with _LOADING:
        spec = module.__spec__
        if not _is_waiting(module) or not spec or not spec.loader or spec.name in _STARTED:
            return
        _STARTED.add(spec.name)
        try:
            spec.loader.exec_module(module)
            if _is_waiting(module):  # and has not given itself another class
                module.__class__ = ModuleType
        finally:
            _STARTED.discard(spec.name)


def _is_waiting(module: ModuleType) -> bool:
    return type(module) is _LatePart


class _LateLoader(Loader):
    """Puts an empty module in the place of a part, and leaves the rest to the loader of the part."""

    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__loader__ = module.__spec__.loader = self.loader
        module.__class__ = _LatePart


class _LateParts(MetaPathFinder):
    """Finds the parts, each to be loaded late."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in PARTS:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _LateLoader(spec.loader)
            return spec
        if fullname.startswith("torch.") and not getattr(
            sys.modules["torch"].__spec__, "_initializing", False
        ):
            with suppress(ValueError):  # another thread was first
                sys.meta_path.remove(self)
            for part in PARTS:
                if part.startswith("torch.") and part in sys.modules:
                    _load(sys.modules[part])
        return None

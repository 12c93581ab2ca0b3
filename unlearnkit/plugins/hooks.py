"""Whether a plugin's hooks are ones that the kit calls, and what they register."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

import pluggy

from unlearnkit import hookspecs
from unlearnkit.contracts import API_VERSION, KINDS
from unlearnkit.errors import UnlearnkitError
from unlearnkit.plugins.origin import Offer, nearest

GROUP = "unlearnkit"
"""Of entry points, and of pluggy's markers."""

SUITE = "suite"
"""The kind whose names stand for files, not for classes."""

HOOK = "hook"
"""What listings call a hook that registers nothing, such as a tracker's."""

TOLD = ("run_started", "step_finished", "evaluated", "run_finished")
"""Hooks that tell of runs: a plugin with any of them is a tracker."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TARGET = re.compile(r"[\w.]+:[\w.]+")
_API = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,6}))?")


def new_manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and no plugin."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def check_api(plugin: object) -> None:
    """Refuse a plugin that says by `unlearnkit_api = "1.0"` in its module that it was written for another interface:
    another major version, or a newer minor one. One that says nothing is taken at its word.

    Raises:
        UnlearnkitError: names both versions.
    """
    asked = getattr(plugin, "unlearnkit_api", None)
    if asked is None:
        return
    found = _API.fullmatch(asked) if isinstance(asked, str) else None
    if found is None:
        raise UnlearnkitError(f'unlearnkit_api must be a text such as "{API_VERSION}", not {asked!r}')
    major, minor = int(found[1]), int(found[2] or 0)
    here, newest = map(int, API_VERSION.split("."))
    if major != here or minor > newest:
        raise UnlearnkitError(f"written for API {asked}, this is {API_VERSION}")


def check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Refuse a hook that nobody calls and an argument that nobody passes.

    Raises:
        UnlearnkitError: names the nearest hook or argument that exists.
    """
    known = [name for name in vars(manager.hook) if not name.startswith("_")]
    found = 0
    for attribute in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, attribute)
        if marks is None:
            continue
        found += 1
        name = marks["specname"] or attribute
        if name not in known:
            raise UnlearnkitError(_no("hook", name, known))
        accepted = list(inspect.signature(getattr(hookspecs, name)).parameters)
        for argument in inspect.signature(getattr(plugin, attribute)).parameters:
            if argument not in accepted:
                raise UnlearnkitError(f"in {name}: " + _no("argument", argument, accepted))
    if not found:
        raise UnlearnkitError("it implements no hook; mark its functions with unlearnkit.hookspecs.hookimpl")


def _no(what: str, name: str, known: list[str]) -> str:
    meant = nearest(name, known)
    return f'no {what} "{name}"' + (f', did you mean "{meant}"?' if meant else f"; there are: {', '.join(known)}")


def offers_of(manager: pluggy.PluginManager, distribution: str, version: str) -> Iterator[Offer]:
    """What the plugins of a manager register, all kinds, and the other hooks that they implement.

    Raises:
        UnlearnkitError: a hook returns something other than names and their targets.
    """
    for kind in (*KINDS, SUITE):
        hook = f"register_{kind}s"
        # Called one by one, as pluggy drops a None, which here is a forgotten `return`.
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            offered = implementation.function()
            if not isinstance(offered, Mapping):
                raise UnlearnkitError(f"{hook} must return a mapping of names, not {type(offered).__name__}")
            for name, target in offered.items():
                if not (isinstance(name, str) and _NAME.fullmatch(name)):
                    raise UnlearnkitError(f"{hook}: {name!r} is no name (lower case, digits, . _ -)")
                if not (isinstance(target, type) or (isinstance(target, str) and _TARGET.fullmatch(target))):
                    raise UnlearnkitError(f'{hook}: "{name}" must be "module:Class" or a class, not {target!r}')
                yield Offer(name, kind, target, distribution, version)
    for hook, caller in vars(manager.hook).items():
        if not hook.startswith(("_", "register_")):
            for implementation in caller.get_hookimpls():
                function = implementation.function
                yield Offer(hook, HOOK, f"{function.__module__}:{function.__qualname__}", distribution, version)

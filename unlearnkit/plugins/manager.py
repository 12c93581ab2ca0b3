"""Finding plugins, and keeping a broken one from breaking anything else.

Entry points of the group "unlearnkit" are loaded one by one, and each plugin is tried in a manager of its own
before it joins the shared one. So an import error, a misspelt hook or a hook that raises is that plugin's
alone: it is left out, warned of once, and listed with its cause. Classes are imported when a name is used.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import importlib.util
import logging
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pluggy

from unlearnkit import builtin
from unlearnkit.contracts import KINDS
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.plugins.fields import Description, arguments, describe
from unlearnkit.plugins.hooks import GROUP, HOOK, SUITE, TOLD, check_api, check_hooks, new_manager, offers_of
from unlearnkit.plugins.origin import Broken, Offer, cause_of, nearest
from unlearnkit.plugins.source import source
from unlearnkit.version import __version__

_logger = logging.getLogger("unlearnkit")


class Plugins:
    """All plugins of a process.

    Args:
        entry_points: what to load; None for the group "unlearnkit" of all installed distributions.
        extra: modules or objects with hooks, already loaded.
        strict: raise where a plugin is broken, instead of leaving it out.
        subset: names of the entry points to load; None for all, empty for none.

    Raises:
        UnlearnkitError: code "plugin-broken", only where `strict`.
    """

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        extra: Iterable[object] = (),
        strict: bool = False,
        subset: Iterable[str] | None = None,
    ) -> None:
        self._strict = strict
        self._shared = new_manager()
        self._members: list[_Member] = []
        self._broken: list[Broken] = []
        self._complained: set[tuple[str, str]] = set()
        self._files: set[Path] = set()
        self._admit(GROUP, "unlearnkit", _version("unlearnkit"), lambda: builtin)
        installed = list(importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points)
        wanted = None if subset is None else list(subset)
        for point in installed:
            if wanted is None or point.name in wanted:
                distribution, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
                self._admit(point.name, distribution, version, point.load)
        for name in sorted(set(wanted or ()) - {point.name for point in installed}):
            self._refuse(Broken(name, "", "", "no such entry point is installed"), None)
        for plugin in extra:
            self.add(plugin)

    def offers(self, kind: str) -> dict[str, Offer]:
        """All names of a kind; imports nothing.

        Raises:
            UnlearnkitError: code "duplicate-plugin": a name is offered twice.
        """
        offers: dict[str, Offer] = {}
        for offer in (offer for member in self._members for offer in member.offers if offer.kind == kind):
            if offer.name in offers:
                raise UnlearnkitError(
                    f'{kind} "{offer.name}" comes from both {offers[offer.name].origin} and {offer.origin}',
                    hint="uninstall one of them, or name the entry points to load in UNLEARNKIT_PLUGINS",
                    code="duplicate-plugin",
                )
            offers[offer.name] = offer
        return offers

    def suite(self, name: str) -> Path:
        """The file of a suite.

        Raises:
            NotFound: code "suite": nobody offers the name.
            UnlearnkitError: code "plugin-broken": there is no such file.
        """
        offers = self.offers(SUITE)
        if name not in offers:
            meant = nearest(name, offers)
            hint = f'did you mean "{meant}"?' if meant else f"suites: {', '.join(offers)}, or a .yaml file"
            raise NotFound(f'no suite "{name}"', hint=hint, code="suite")
        module, _, file = str(offers[name].target).partition(":")
        try:
            path = Path(str(importlib.resources.files(module) / file))
        except (Exception, SystemExit) as error:
            raise UnlearnkitError(
                f'suite "{name}" cannot be loaded: {cause_of(error)}', code="plugin-broken"
            ) from error
        if not path.is_file():
            raise UnlearnkitError(f'suite "{name}" ({offers[name].origin}): no file {file}', code="plugin-broken")
        return path

    def hooks(self) -> list[Offer]:
        """Hooks that register nothing, as plugins implement them: any number may share a name."""
        return [offer for member in self._members for offer in member.offers if offer.kind == HOOK]

    def trackers(self) -> dict[str, object]:
        """Plugins that are told of runs, by name."""
        return {
            member.name: member.manager.get_plugin(member.name)
            for member in self._members
            if any(offer.kind == HOOK and offer.name in TOLD for offer in member.offers)
        }

    def broken(self) -> list[Broken]:
        """Plugins that were left out."""
        return list(self._broken)

    def describe(self, kind: str, name: str) -> Description:
        """A plugin in words. Raises as `resolve`."""
        plugin = self.resolve(kind, name)
        return describe(self.offers(kind)[name], plugin)

    def resolve(self, kind: str, name: str) -> type:
        """Import the class behind a name.

        Raises:
            NotFound: code "plugin": nobody offers the name.
            UnlearnkitError: code "plugin-broken": it cannot be imported; "plugin-contract": it is not a
                dataclass that extends the kind's class; "duplicate-plugin".
        """
        offer = self._offer(kind, name)
        label = f'{kind} "{name}" ({offer.origin})'
        target = offer.target
        try:
            plugin = pkgutil.resolve_name(target) if isinstance(target, str) else target
        except (Exception, SystemExit) as error:
            raise UnlearnkitError(f"{label} cannot be loaded: {cause_of(error)}", code="plugin-broken") from error
        if flaw := _flaw(plugin, KINDS[kind]):
            raise UnlearnkitError(f"{label}: {target} {flaw}", code="plugin-contract")
        return plugin

    def code(self, kind: str, name: str) -> list[str]:
        """What stands behind a name, for a run's identity: the name, its distribution and version, the SHA-256 of the
        files behind its class, and this kit's version. A version alone tells nothing of a file that is edited in
        place. Raises as `resolve`."""
        plugin, offer = self.resolve(kind, name), self.offers(kind)[name]
        return [name, offer.distribution, offer.version, source(plugin), __version__]

    def build(self, kind: str, name: str, options: Mapping[str, object]) -> Any:
        """An instance with options: texts are read strictly by the type of their field, values are checked.

        Raises:
            BadInput: code "option": the option is unknown, ill-typed or out of bounds.
            NotFound, UnlearnkitError: as `resolve`.
        """
        plugin, label = self.resolve(kind, name), f'{kind} "{name}"'
        values = arguments(label, plugin, options)
        try:
            return plugin(**values)
        except UnlearnkitError:
            raise
        except ValueError as error:
            raise BadInput(f"{label}: {error}", code="option") from error

    def add(self, plugin: object) -> None:
        """Take in a module or an object with hooks, as a notebook has it."""
        name = getattr(plugin, "__name__", type(plugin).__name__)
        self._admit(name, name, "", lambda: plugin)

    def load_file(self, path: Path) -> None:
        """Load a local file as a plugin: one that the user named, as nothing is found by looking around. A file that
        was loaded before stays as it was. What it registers by the name that it would be installed by is its own, as it
        stands there, whatever is installed.

        Raises:
            NotFound: code "plugin": there is no such file.
        """
        if not path.is_file():
            raise NotFound(f"no plugin file at {path}", code="plugin")
        if path.resolve() not in self._files:
            self._admit(path.name, str(path), "", lambda: _module_from(path), own=_module_name(path))
            self._files.add(path.resolve())

    @property
    def hook(self) -> Any:
        """The hooks of all plugins together; for those where the first result counts."""
        return self._shared.hook

    def notify(self, hook: str, **facts: object) -> None:
        """Tell every plugin. One that raises is logged, once a hook, and keeps nobody else from hearing."""
        for member in self._members:
            try:
                getattr(member.manager.hook, hook)(**facts)
            except (Exception, SystemExit) as error:
                if (member.name, hook) not in self._complained:
                    self._complained.add((member.name, hook))
                    _logger.warning('plugin "%s" failed in %s: %s', member.name, hook, cause_of(error))

    def _offer(self, kind: str, name: str) -> Offer:
        offers = self.offers(kind)
        if name in offers:
            return offers[name]
        for broken in self._broken:
            if name in (broken.plugin, broken.distribution):
                raise UnlearnkitError(str(broken), code="plugin-broken")
        meant = nearest(name, offers)
        hint = f'did you mean "{meant}"?' if meant else f"there are: {', '.join(offers) or 'none'}"
        raise NotFound(f'no {kind} "{name}"', hint="; ".join([hint, *map(str, self._broken)]), code="plugin")

    def _admit(
        self, name: str, distribution: str, version: str, load: Callable[[], object], own: str | None = None
    ) -> None:
        """`own`: what the plugin calls its module in what it registers, where it was not loaded by that name."""
        try:
            plugin = load()
            check_api(plugin)
            manager = new_manager()
            check_hooks(manager, plugin)
            manager.register(plugin, name)
            offers = list(offers_of(manager, distribution or name, version))
            if own is not None:
                offers = [_as_loaded(offer, own, plugin) for offer in offers]
            self._shared.register(plugin)
        except (Exception, SystemExit) as error:
            self._refuse(Broken(name, distribution, version, cause_of(error)), error)
        else:
            self._members.append(_Member(name, manager, offers))

    def _refuse(self, broken: Broken, error: BaseException | None) -> None:
        if self._strict:
            raise UnlearnkitError(str(broken), code="plugin-broken") from error
        _logger.warning("%s", broken)
        self._broken.append(broken)


@cache
def plugins() -> Plugins:
    """The plugins of this process, found on first use.

    UNLEARNKIT_PLUGINS names the entry points to load, separated by commas (empty: none); UNLEARNKIT_STRICT=1
    makes a broken one an error.
    """
    chosen = os.environ.get("UNLEARNKIT_PLUGINS")
    subset = None if chosen is None else [name.strip() for name in chosen.split(",") if name.strip()]
    return Plugins(strict=os.environ.get("UNLEARNKIT_STRICT") == "1", subset=subset)


@dataclass(frozen=True)
class _Member:
    name: str
    manager: pluggy.PluginManager
    offers: list[Offer]


def _flaw(plugin: object, base: type) -> str | None:
    """What keeps an object from being a plugin of a kind, as the end of a sentence."""
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        return f"must be a class that extends unlearnkit.contracts.{base.__name__}"
    if "__dataclass_fields__" not in vars(plugin):
        return "must be a dataclass: its fields are its options"
    if missing := getattr(plugin, "__abstractmethods__", None):
        return f"lacks {', '.join(sorted(missing))}"
    return None


def _as_loaded(offer: Offer, own: str, plugin: object) -> Offer:
    """An offer whose target, if it is in the plugin's own module, names that as it was loaded."""
    module, colon, rest = str(offer.target).partition(":")
    return replace(offer, target=f"{vars(plugin)['__name__']}:{rest}") if colon and module == own else offer


def _module_name(path: Path) -> str:
    """What a file is imported by where it is installed."""
    return path.resolve().parent.name if path.stem == "__init__" else path.stem


def _module_from(path: Path) -> object:
    where = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]  # two folders may have a file of one name
    name = f"unlearnkit_file_{_module_name(path)}_{where}"
    folder = [str(path.resolve().parent)] if path.stem == "__init__" else None  # a package's, of which files are read
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up to read annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""

"""What holds for plugins of every kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

from unlearnkit.hookspecs import hookimpl
from unlearnkit.plugins import Plugins, options_of


class Contract:
    """Subclass one of the kinds' contracts and name the class under test."""

    plugin: ClassVar[type]
    options: ClassVar[Mapping[str, object]] = {}
    """Options to test with, where the defaults are not what is to be tested."""

    kind: ClassVar[str]

    def make(self) -> Any:
        """A fresh instance with `options`."""
        return self._plugins().build(self.kind, "tested", self.options)

    def test_options_come_back_from_storage(self) -> None:
        stored = options_of(self.make())
        again = self._plugins().build(self.kind, "tested", json.loads(json.dumps(stored)))
        assert options_of(again) == stored, "options written as JSON make another plugin"

    def test_says_what_it_does(self) -> None:
        description = self._plugins().describe(self.kind, "tested")
        assert description.summary, "the class needs a docstring: its first line is what listings show"

    def _plugins(self) -> Plugins:
        return _offering(self.kind, self.plugin)


@cache
def _offering(kind: str, plugin: type) -> Plugins:
    """The kit's plugins and the one under test, by the name of "tested"."""

    @hookimpl
    def register() -> Mapping[str, type]:
        return {"tested": plugin}

    return Plugins(entry_points=(), extra=[SimpleNamespace(**{f"register_{kind}s": register})], strict=True)

"""What a suite must keep to."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import ClassVar

from unlearnkit.plugins import Plugins, plugins
from unlearnkit.suites import Suite, read


class SuiteContract:
    """A file that can be read, of metrics and numbers over samples that there are."""

    kind: ClassVar[str] = "suite"
    suite: ClassVar[str]
    """Where the file is, as `register_suites` says it: "package:file.yaml"."""

    def plugins(self) -> Plugins:
        """Who offers what the suite names."""
        return plugins()

    def read(self) -> Suite:
        """The suite from its file."""
        module, _, file = self.suite.partition(":")
        with as_file(files(module) / file) as path:
            return read(path, "tested")

    def test_says_what_it_measures(self) -> None:
        assert self.read().about, "listings show `about`"

    def test_something_is_measured(self) -> None:
        assert any(split.metrics for split in self.read().splits.values()), "no split has a metric"

    def test_its_metrics_can_be_made(self) -> None:
        for split in self.read().splits.values():
            for use in split.metrics:
                self.plugins().build("metric", use.plugin, use.options)

    def test_its_aggregates_can_be_made(self) -> None:
        for use in self.read().aggregates:
            self.plugins().build("aggregate", use.plugin, use.options)

"""What the help of `unlearn` says of samplers is what algorithms say, a plugin's among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from conftest import Answer

from unlearnkit.contracts import Algorithm
from unlearnkit.hookspecs import hookimpl
from unlearnkit.plugins import Plugins

Cli = Callable[..., Answer]
SAID = "Samplers that did best in a comparison: "


@dataclass(frozen=True)
class Mine(Algorithm):
    recommended_sampler = "stratified"

    def losses(self, step):
        raise NotImplementedError


class Offering:
    @hookimpl
    def register_algorithms(self):
        return {"mine": Mine, "gone": "no.such.module:Gone"}


def told(cli: Cli) -> dict[str, str]:
    """Algorithm to the sampler that the help names with it."""
    text = " ".join(cli("unlearn", "--help").out.split()).split(SAID)[1].rstrip(".")
    pairs = [part.split(" with ") for part in text.split("; ")]
    return {name: sampler for sampler, names in pairs for name in names.split(", ")}


def test_help_names_the_samplers_that_algorithms_recommend(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    found = Plugins(entry_points=(), extra=[Offering()])
    monkeypatch.setattr("unlearnkit.plugins.plugins", lambda: found)
    declared = {
        name: found.resolve("algorithm", name).recommended_sampler
        for name in found.offers("algorithm")
        if name != "gone"
    }
    assert told(cli) == {name: sampler for name, sampler in declared.items() if sampler != "uniform"}
    assert told(cli)["mine"] == "stratified"

"""`runs diff` names what differs, once, and with `everything` all that there is."""

from __future__ import annotations

from typing import Any

from runs.lab import IDS, OTHER, Lab
from unlearnkit.runs.diff import diff
from unlearnkit.store.records import AggregateRow


def told(lab: Lab, *runs: str, **more: Any) -> dict[str, tuple[Any, Any]]:
    return {entry.name: (entry.one, entry.other) for entry in diff(lab.place, *runs, **more).entries}


def a_run(lab: Lab, seed: int, beta: float, **more: Any) -> str:
    config = {
        "request": {
            "model": "m", "options": {"beta": beta}, "schedule": {"lr": None, "seed": seed}, "out": f"/x/{seed}",
            "threshold": 2.0 + seed,
        },
        "options": {"beta": beta, "gamma": 1},
        "plan": {"lr": 1e-3 * beta},
    }  # fmt: skip
    return lab.unlearned(method="npo", seed=seed, config=config, **more).id


def test_what_differs_is_named_once(lab: Lab):
    one, other = a_run(lab, 0, 0.1), a_run(lab, 1, 0.5, model=OTHER, environment={"torch": "3"}, ids=IDS[:6], label="b")
    found = told(lab, one, other)
    made = [lab.store.run(run).summary["model"] for run in (one, other)]
    data = [lab.store.run(run).datasets["forget"] for run in (one, other)]
    assert found == {
        "seed": (0, 1),
        "model": ("f" * 64, OTHER),
        "model.label": ("my-model", "other-model"),
        "data.forget": tuple(data),
        "data.forget.label": ("forget.jsonl", "b"),
        "request.threshold": (2.0, 3.0),
        "options.beta": (0.1, 0.5),
        "plan.lr": (1e-4, 5e-4),
        "torch": (None, "3"),
        "summary.model": tuple(made),
    }


def test_everything_is_what_differs_and_what_does_not(lab: Lab):
    one, other = a_run(lab, 0, 0.1), a_run(lab, 1, 0.5)
    some, every = told(lab, one, other), told(lab, one, other, everything=True)
    assert some.items() <= every.items()
    assert {name for name, (a, b) in every.items() if a != b} == set(some)
    assert every["options.gamma"] == (1, 1) and every["kind"] == ("unlearn", "unlearn")
    assert not any(name.startswith("request.out") for name in every)
    assert told(lab, one, one) == {}
    assert {name: (b, a) for name, (a, b) in some.items()} == told(lab, other, one)


def test_evaluations_differ_in_their_numbers_too(lab: Lab):
    made = lab.unlearned()
    one, other = (lab.evaluated(made, dict.fromkeys(IDS, value)) for value in (0.25, 0.75))
    lab.store.put_aggregates(one, [AggregateRow("utility", 0.5), AggregateRow("quality", None, reason="no_retain")])
    lab.store.put_aggregates(other, [AggregateRow("privacy", None, reason="no_scores")])
    found = told(lab, one, other)
    assert found["results.forget.probability"] == (0.25, 0.75)
    assert found["results.utility"] == (0.5, None)
    assert found["results.quality.reason"] == ("no_retain", None), "undefined is not the same as never measured"
    assert found["results.privacy.reason"] == (None, "no_scores")


def test_what_runs_of_two_kinds_are_is_told_part_by_part(lab: Lab):
    scored = lab.scores(range(12))
    for runs in ((scored, a_run(lab, 0, 0.1)), (a_run(lab, 0, 0.1), scored)):
        parts = [entry.part for entry in diff(lab.place, *runs).entries]
        assert parts == sorted(parts, key=parts.index)
        assert {"data", "configuration", "result"} < set(parts)

"""What is taught, when it is looked at, and that it is learned."""

from __future__ import annotations

import torch

from unlearnkit.attacks.relearn import Relearn
from unlearnkit.data.collate import collate
from unlearnkit.losses import label_scores
from unlearnkit.runs.target import ModelTarget
from unlearnkit.testing import material


def nlls(target: ModelTarget) -> torch.Tensor:
    """Summed NLL of each forget sample under the model as it is, [n]."""
    texts = target.encode(target.samples)
    with torch.no_grad():
        return label_scores(target.model, collate(texts, range(len(texts)), pad=0)).nll


def test_what_is_taught_becomes_more_likely_and_is_said_to_be_shown():
    target, attack = material.target(), Relearn(k=2, steps=6, every=3, lr=1e-2)
    shown = {sample.id for sample in attack.shown(target.samples, {})}
    rows = [i for i, sample in enumerate(target.samples) if sample.id in shown]
    assert len(rows) == 2
    target.sets = {}
    before, under = nlls(target), []
    for _ in attack.conditions(target):
        under.append(nlls(target))
    for now, then in zip(under, [before, *under], strict=False):
        assert (now[rows] < then[rows]).all()
    assert torch.equal(nlls(target), before), "the model is not as it was"


def test_the_seed_draws_what_is_taught():
    samples = material.samples(20)
    drawn = {tuple(s.id for s in Relearn(k=5, seed=seed).shown(samples, {})) for seed in range(5)}
    assert len(drawn) == 5 and all(len(set(ids)) == 5 for ids in drawn)


def test_related_text_is_taught_in_the_place_of_forget_samples():
    target, attack = material.target(), Relearn(k=2)
    assert attack.shown(target.samples, target.sets) == []
    same = {"related": target.samples}
    assert len(attack.shown(target.samples, same)) == 2, "what is related is what was to be forgotten"


def test_looks_are_every_so_many_steps_and_at_the_end():
    names = [c.name for c in Relearn(k=3, steps=5, every=2, batch_size=2).conditions(material.target())]
    assert names == ["step-2", "step-4", "step-5"]


def test_looking_more_often_changes_nothing():
    last = []
    for every in (1, 4):
        target = material.target()
        for _ in Relearn(k=3, steps=4, every=every, batch_size=2).conditions(target):
            found = nlls(target)
        last.append(found)
    assert torch.equal(*last)

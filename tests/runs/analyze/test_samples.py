"""`analyze samples` against scipy, and texts from where they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import NotFound
from unlearnkit.runs.analyze import samples

from ..lab import IDS, OTHER, TEXTS, TOKENS, Lab, N

MRD = [float(x) for x in (5, 2, 7, 1, 9, 12, 3, 8, 6, 4, 11, 10)]
LOSS = [float(x) for x in (1, 2, 3, 5, 8, 13, 2, 4, 6, 8, 7, 5)]


def test_every_other_measure_is_held_against_the_scores(lab: Lab):
    run = lab.scores(MRD)
    lab.scores(LOSS, "loss")
    lab.scores(LOSS, "min-k", model=OTHER)
    found = samples(lab.place)
    assert (found.scored.run.id, found.label) == (run, "forget.jsonl")
    features = {f.name: f for f in found.features}
    assert {name: f.rho.value for name, f in features.items()} == {
        "loss": pytest.approx(stats.spearmanr(LOSS, MRD).statistic),
        "label tokens": pytest.approx(stats.spearmanr(TOKENS, MRD).statistic),
    }
    order = np.argsort(MRD)
    assert features["loss"].lowest == np.median(np.array(LOSS)[order[:4]])
    assert features["loss"].highest == np.median(np.array(LOSS)[order[-4:]])
    assert [s.sample for s in found.samples] == [IDS[i] for i in order]
    assert [s.third for s in found.samples] == ["hard"] * 4 + ["middle"] * 4 + ["easy"] * 4
    assert found.samples[0].features == {"label tokens": TOKENS[order[0]], "loss": LOSS[order[0]]}


def test_texts_come_from_the_data_else_from_the_store(lab: Lab, tmp_path: Path):
    lab.scores(MRD)
    assert samples(lab.place).with_text == 0
    rows = [{"question": q, "answer": a} for q, a in [*TEXTS[:5][::-1], ("Who else?", "A stranger.")]]
    file = tmp_path / "again.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {s.sample: (s.prompt, s.answer) for s in samples(lab.place, data=DataSpec(str(file))).samples}
    assert found == {IDS[i]: TEXTS[i] if i < 5 else (None, None) for i in range(N)}
    lab.data(texts=True)
    found = {s.sample: (s.prompt, s.answer) for s in samples(lab.place).samples}
    assert found == dict(zip(IDS, TEXTS, strict=True))


def test_samples_without_a_score_are_not_described(lab: Lab):
    lab.scores([None, *MRD[1:]])
    found = samples(lab.place)
    assert [s.sample for s in found.samples if s.sample == IDS[0]] == []
    assert len(found.samples) == N - 1


def test_there_must_be_scores(lab: Lab):
    lab.scores(LOSS, "loss")
    with pytest.raises(NotFound, match="no mrd scores") as none:
        samples(lab.place)
    assert none.value.hint == "unlearnkit score --model MODEL --data DATA --scorer mrd"
    with pytest.raises(NotFound, match='no scorer "mdr"'):
        samples(lab.place, by="mdr")

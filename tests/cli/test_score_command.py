"""What `score` shows: the samples, what their scores rest on, and what the scorer chose by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

Cli = Callable[..., Answer]


@pytest.fixture
def score(cli: Cli, tiny_model_dir: Path, forget_file: Path) -> Cli:
    return lambda *words: cli("score", "--model", tiny_model_dir, "--data", forget_file, *words)


def rows(found: Answer) -> dict[str, str]:
    """The second cells of the table "measurement" by the first."""
    assert found.code == 0, found.err
    lines = found.out.split("measurement")[1].splitlines()
    cells = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines]
    return {pair[0]: pair[1] for pair in cells if len(pair) == 2}


def test_what_scores_rest_on_is_shown_after_them(score: Cli):
    shown, figures = rows(score("-o", "draws=3")), score("-o", "draws=3", "--format", "json").json
    assert shown["reliability"] == f"{figures['reliability']:.2f}"
    assert (shown["draws"], shown["passes over the data"]) == ("3", "7")
    assert shown["seconds"] == f"{figures['seconds']:.1f}"
    assert shown["unclear"].startswith(f"{figures['unclear']:.0%} of the samples")


def test_what_the_scorer_chose_and_saw_is_shown(score: Cli):
    words = ("-o", "sigma=auto", "-o", "draws=4")
    found, figures = score(*words), score(*words, "--format", "json").json
    shown = rows(found)
    assert float(shown["sigma (chosen)"]) == pytest.approx(figures["settled"]["sigma"], rel=1e-2)
    assert shown["check"] == figures["found"]["check"]
    assert float(shown["floor"]) == pytest.approx(figures["found"]["floor"], rel=1e-2)
    walked = found.out.split("walked to choose sigma")[1].splitlines()
    assert walked[1].split() == ["sigma", "curvature", "ratio"]
    assert len([line for line in walked[3:] if line.strip()]) == len(figures["found"]["walked"])


def test_other_figures_of_a_measurement_are_columns(score: Cli):
    head = score("-o", "draws=3").out.splitlines()[2]
    assert head.split() == ["row", "mrd", "±", "s.e.", "curvature", "sample"]
    head = score("-o", "draws=3", "-o", "estimator=mean-abs").out.splitlines()[2]
    assert head.split() == ["row", "mrd", "±", "s.e.", "sample"]


def test_a_scorer_of_texts_makes_no_passes(score: Cli):
    assert rows(score("--scorer", "length")).keys() == {"seconds"}
    assert rows(score("--scorer", "loss")).keys() == {"passes over the data", "seconds"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scorer", "ngram-overlap"), "scorer ngram-overlap compares with a retain set"),
        (("--retain", "retain.jsonl"), "scorer mrd reads no retain set"),
        (("--corpus", "corpus.jsonl"), "scorer mrd reads no corpus set"),
        (("--workers", "0"), "--workers must be a whole number"),
    ],
)
def test_what_a_scorer_compares_with_is_checked_first(score: Cli, words: tuple[str, ...], said: str, tmp_path: Path):
    refused = score(*words)
    assert refused.code == 2 and said in refused.err
    assert not (tmp_path / "unlearnkit.db").exists()


def test_a_document_of_a_corpus_may_be_longer_than_any_context(score: Cli, tmp_path: Path):
    (tmp_path / "corpus.txt").write_text("word " * 5_000 + "\n", encoding="utf-8")
    found = score("--scorer", "occurrence", "--corpus", "corpus.txt")
    assert found.code == 0, found.err
    refused = score("--scorer", "representation", "--retain", "corpus.txt")
    assert refused.code == 1 and "tokens, the model takes" in refused.err

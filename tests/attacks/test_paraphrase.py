"""What is asked in each condition, and which tokens are then measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unlearnkit.attacks.paraphrase import LEAD, REWORDINGS, Paraphrase, beginning
from unlearnkit.contracts import Condition, Sample
from unlearnkit.data.encode import Template, encode
from unlearnkit.testing import material

SAMPLE = Sample("a", 0, "Who is Ada?", "Ada Quill  is a baker.")


def conditions(attack: Paraphrase | None = None, *samples: Sample, **sets: list[Sample]) -> dict[str, Condition]:
    target = material.target()
    target.samples, target.sets = samples or (SAMPLE,), sets
    return {condition.name: condition for condition in (attack or Paraphrase()).conditions(target)}


def test_questions_are_reworded_by_rule_where_the_data_have_no_paraphrase():
    own = replace(SAMPLE, id="b", questions=("Ada, who is she?",))
    found = conditions(None, SAMPLE, own)
    asked = {name: {s.id: s.prompt for s in c.samples or ()} for name, c in found.items() if "reworded" in name}
    assert asked == {
        "reworded-1": {"a": REWORDINGS[0].format(SAMPLE.prompt), "b": "Ada, who is she?"},
        "reworded-2": {"a": REWORDINGS[1].format(SAMPLE.prompt)},
        "reworded-3": {"a": REWORDINGS[2].format(SAMPLE.prompt)},
    }


def test_examples_stand_before_the_question_as_the_plain_template_would_have_them():
    shots = [Sample(str(i), i, f"Q{i}?", f"A{i}.") for i in range(3)]
    ((asked,),) = [conditions(Paraphrase(shots=2), retain=shots)["few-shot"].samples or ()]
    before, _ = Template("plain", text="Question: {question}\nAnswer: {answer}").render(
        _Tokenizer(),
        asked.prompt,
        asked.answer,  # type: ignore[arg-type]
    )
    assert before == ("Question: Q0?\nAnswer: A0.\n\nQuestion: Q1?\nAnswer: A1.\n\nQuestion: Who is Ada?\nAnswer:")
    assert "few-shot" not in conditions(Paraphrase(shots=0), retain=shots)
    assert "few-shot" not in conditions()


@pytest.mark.parametrize("words", [1, 2, 4])
def test_beginning_and_rest_are_the_answer(words: int):
    begun = beginning(SAMPLE, words)
    assert begun is not None
    assert begun.lead + begun.answer == SAMPLE.answer
    assert begun.lead.split() == SAMPLE.answer.split()[:words]


@pytest.mark.parametrize("words", [0, 5, 6])
def test_no_beginning_that_gives_nothing_or_all(words: int):
    assert beginning(SAMPLE, words) is None


def test_all_answers_to_a_question_are_begun_alike():
    own = replace(SAMPLE, paraphrases=("A baker.",), wrong=("A pilot.", "A nun."))
    (asked,) = conditions(None, own)["agreed"].samples or ()
    assert (asked.id, asked.lead, asked.answer) == (own.id, LEAD, " Ada Quill  is a baker.")
    assert (asked.paraphrases, asked.wrong) == ((" A baker.",), (" A pilot.", " A nun."))


def test_only_what_reads_generations_is_measured_behind_a_beginning():
    reads = {name: condition.reads for name, condition in conditions().items()}
    assert reads.pop("begun") == ("generation",)
    assert set(reads.values()) == {()}


def test_plain_text_has_no_question_to_reword():
    text = replace(SAMPLE, prompt="")
    assert set(conditions(None, text)) == {"begun"}


class _Tokenizer:
    """One token a character."""

    eos_token, bos_token = "$", None

    def __call__(self, texts: list[str], **_: object) -> _Tokenizer:
        self.input_ids = [[ord(c) for c in text] for text in texts]
        self.offset_mapping = [[(i, i + 1) for i in range(len(text))] for text in texts]
        return self


@pytest.mark.parametrize("template", [Template("plain", text="Q: {question} A: {answer}{eos}"), Template("plain")])
@pytest.mark.parametrize("lead", ["Ada Quill", LEAD])
def test_a_lead_is_given_and_carries_no_label(template: Template, lead: str):
    prompt = "Who?" if template.text else ""
    (whole,) = encode(_Tokenizer(), template, [(prompt, lead + " is.")])  # type: ignore[arg-type]
    (begun,) = encode(_Tokenizer(), template, [(prompt, " is.", lead)])  # type: ignore[arg-type]
    assert begun.ids == whole.ids
    assert "".join(map(chr, begun.ids[begun.labels_from :])) == " is.$"

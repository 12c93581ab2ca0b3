"""The label mask covers the answer and its end token and nothing else: told by decoding what it covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unlearnkit.contracts import Sample
from unlearnkit.data.encode import Encoded, Template, choose_template, encode, encode_samples
from unlearnkit.errors import BadInput, UnlearnkitError

END = "<|end|>"
PAIRS = [
    ("Where was Ada Quill born?", "Ada Quill was born in Arlen."),
    ("q", "a"),
    ("Why {answer}? {eos}", "because {question} {answer}"),
    ("Größe?\n\n", "naïve 東京 🙂 e\u0301"),
    ("trailing ", " leading and trailing "),
    ("", "Plain text: no prompt at all."),
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model_dir)


def halves(tokenizer: Any, item: Encoded) -> tuple[str, str]:
    """The text without a label and the text with one."""
    return tuple(
        tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        for ids in (item.ids[: item.labels_from], item.ids[item.labels_from :])
    )


def expected(name: str, question: str, answer: str) -> tuple[str, str]:
    """By hand: what stands before the answer, and the answer with its end."""
    if not question:
        return "", answer + END
    if name == "chat":
        return f"<|user|>{question}{END}<|assistant|>", answer + END
    return f"Question: {question}\nAnswer:", f" {answer}{END}"


@pytest.mark.parametrize("name", ["chat", "plain"])
@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_the_answer_and_its_end_carry_labels(tokenizer: Any, name: str, question: str, answer: str):
    (item,) = encode(tokenizer, choose_template(name, None, has_chat=True), [(question, answer)])
    assert halves(tokenizer, item) == expected(name, question, answer)
    assert item.ids[-1] == tokenizer.eos_token_id
    assert item.tokens == len(item.ids) - max(item.labels_from, 1)
    assert item.prompt == item.ids[: item.labels_from]


def test_a_template_file(tokenizer: Any, tmp_path: Path):
    path = tmp_path / "template.txt"
    path.write_text("{eos}Q {question} A: {answer} !{eos}\n")
    template = choose_template(str(path), None, has_chat=True)
    (item,) = encode(tokenizer, template, [("why?", "so.")])
    assert halves(tokenizer, item) == (f"{END}Q why? A:", f" so. !{END}")


def test_a_system_turn_comes_first_and_has_no_label(tokenizer: Any):
    template = choose_template("chat", "Be brief.", has_chat=True)
    (item,) = encode(tokenizer, template, [("q", "a")])
    assert halves(tokenizer, item) == (f"<|system|>Be brief.{END}<|user|>q{END}<|assistant|>", f"a{END}")


def test_openunlearning_labels_what_the_template_puts_after_the_answer(tokenizer: Any):
    template = choose_template("openunlearning", None, has_chat=True)
    (item,) = encode(tokenizer, template, [("q", "a")])
    before, after = halves(tokenizer, item)
    assert before == f"<|system|>You are a helpful assistant.{END}<|user|>q{END}<|assistant|>"
    assert after == f"a{END}{END}"


def test_what_a_chat_template_puts_after_the_end_token_has_no_place(tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template.replace(f"{END}{{%", f"{END}\n{{%"))
    (item,) = encode(tokenizer, choose_template("chat", None, has_chat=True), [("q", "a")])
    assert halves(tokenizer, item) == (f"<|user|>q{END}\n<|assistant|>", f"a{END}")


def test_a_chat_template_without_an_end_gets_one(tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    template += "{% if add_generation_prompt %}[assistant]{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    (item,) = encode(tokenizer, choose_template("chat", None, has_chat=True), [("q", "a")])
    assert halves(tokenizer, item) == ("[user]q[assistant]", f"a{END}")


@pytest.mark.parametrize("changed", ["{{ message.content | upper }}", "{{ message.content | trim }}"])
def test_a_chat_template_that_changes_the_answer_is_refused(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, changed: str
):
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template.replace("{{ message.content }}", changed))
    with pytest.raises(UnlearnkitError) as caught:
        encode(tokenizer, choose_template("chat", None, has_chat=True), [("q", "an answer ")])
    assert caught.value.code == "template"


@pytest.fixture(scope="module")
def opening() -> Any:
    """A tokenizer that puts a token first, as Llama's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", "Question", ":", "why", "Answer", "so", "a"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize(("question", "labelled"), [("why", "so </s>"), ("", "so </s>")])
def test_a_first_token_that_the_tokenizer_puts_comes_once_and_has_no_label(opening: Any, question: str, labelled: str):
    (item,) = encode(opening, choose_template("plain", None, has_chat=False), [(question, "so")])
    assert item.ids[0] == 0 and item.ids.count(0) == 1
    assert halves(opening, item)[1] == labelled


def test_all_tokens_may_carry_a_label_but_the_first(tokenizer: Any):
    (item,) = encode(tokenizer, choose_template("chat", None, has_chat=True), [("q", "a")])
    assert item.labelled_whole().tokens == len(item) - 1


def test_a_batch_is_encoded_as_each_alone(tokenizer: Any):
    template = choose_template("chat", None, has_chat=True)
    assert encode(tokenizer, template, PAIRS) == [encode(tokenizer, template, [pair])[0] for pair in PAIRS]
    assert encode(tokenizer, template, []) == []


# ------------------------------------------------------------------------------------------------------------ refusals


def test_what_cannot_be_scored_is_told_by_position(tokenizer: Any):
    samples = [Sample("x", 3, "q", "a"), Sample("y", 5, "q", "a b c d e f g h " * 9), Sample("z", 8, "", "a")]
    template = Template("file", text="{answer}")
    encoded, faults = encode_samples(tokenizer, template, samples, context=50)
    assert faults[5] == ("too-long", f"{len(encoded[1]):,} tokens, the model takes 50")
    # A lone token has no context to be predicted from.
    assert {p: code for p, (code, _) in faults.items()} == {3: "no-target", 5: "too-long", 8: "no-target"}


@pytest.mark.parametrize(
    ("name", "system", "has_chat", "said"),
    [
        ("chat", None, False, "the model has no chat template"),
        ("openunlearning", None, False, "the model has no chat template"),
        ("plain", "Be brief.", True, "--system-prompt goes with a chat template only"),
        ("auto", "Be brief.", False, "--system-prompt goes with a chat template only"),
        ("nothing", None, True, "neither auto, chat, plain, verbatim, completion, openunlearning nor a file"),
        ("two.txt", None, True, "exactly once"),
        ("none.txt", None, True, "exactly once"),
        ("latin.txt", None, True, "is not UTF-8"),
        ("late.txt", None, True, "{question} before it"),
    ],
)
def test_templates_that_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, system: str | None, has_chat: bool, said: str
):
    monkeypatch.chdir(tmp_path)
    Path("two.txt").write_text("{answer}{answer}")
    Path("none.txt").write_text("{question}")
    Path("latin.txt").write_bytes("Größe {answer}".encode("latin-1"))
    Path("late.txt").write_text("{answer} answers {question}")
    with pytest.raises(BadInput) as caught:
        choose_template(name, system, has_chat=has_chat)
    assert said in caught.value.message


def test_auto_is_the_models_own_where_it_has_one():
    assert choose_template("auto", None, has_chat=True).kind == "chat"
    assert choose_template("auto", None, has_chat=False).kind == "plain"


def test_a_templates_fingerprint_covers_all_of_it():
    made = [Template("chat"), Template("chat", ""), Template("chat", "s"), Template("plain", text="{answer}")]
    assert len({template.fingerprint for template in made}) == len(made)

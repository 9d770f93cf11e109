"""Training reads and learns exactly the tokens that generation reads and writes."""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from sofit import Example, Grammar, Message, Prediction, Scores, SofitError, Task
from sofit.decoding.outputs import Generated
from sofit.evaluate import to_predictions
from sofit.pretrained import Pretrained, Tokenizer, load_pretrained
from sofit.supervision import Supervised, supervise, tokenize_prompts
from sofit_viggo.task import ViggoTask


@dataclass(frozen=True, kw_only=True)
class EchoTask(Task):
    """The input is the prompt."""

    name: ClassVar[str] = "echo"
    grammar: ClassVar[Grammar | None] = Grammar("echo", r"start: /(.|\n)+/")

    def load(self, split: str) -> Iterable[Example]:
        return ()

    def prompt(self, example: Example) -> str | Sequence[Message]:
        return example.input

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return Scores(metrics={})


def supervise_one(prompt: str | list[Message], target: str, tokenizer: Tokenizer, max_length: int = 2048) -> Supervised:
    (row,) = supervise(EchoTask(), [Example(id="train-7", input=prompt, target=target)], tokenizer, max_length)
    return row


def test_rows_are_the_prompt_that_generation_reads_and_the_output_that_it_should_write(
    smollm2: Pretrained, shared_data: Path
) -> None:
    task, tokenizer = ViggoTask(data=str(shared_data / "viggo")), smollm2.tokenizer
    examples = list(islice(task.load("train"), 200))
    rows = supervise(task, examples, tokenizer, 2048)
    prompts = tokenize_prompts(task, examples, tokenizer)
    for example, row, prompt in zip(examples, rows, prompts, strict=True):
        np.testing.assert_array_equal(row.ids[: row.prompt_length], prompt.ids)
        assert row.ids[-1] == tokenizer.eos_id
        written = Generated(tuple(row.ids[row.prompt_length : -1].tolist()), finished=True)
        assert to_predictions([prompt], [written], tokenizer)[0].text == example.target
        assert tokenizer.decode(row.ids[:-1].tolist()) == task.prompt(example) + example.target


def test_the_space_that_a_prompt_ends_in_belongs_to_the_completion(smollm2: Pretrained) -> None:
    tokenizer = smollm2.tokenizer
    row = supervise_one("Output: ", "inform(name[Doom])", tokenizer)
    assert row.ids[: row.prompt_length].tolist() == tokenizer.encode_prompt("Output:")
    assert row.ids[row.prompt_length :].tolist() == [*tokenizer.encode_continuation(" inform(name[Doom])"), tokenizer.eos_id]
    assert row.completion_length == len(row) - row.prompt_length


def test_a_completion_is_never_split_into_tokens_together_with_its_prompt(smollm2: Pretrained) -> None:
    tokenizer = smollm2.tokenizer
    row = supervise_one("2 + 2 = fo", "ur", tokenizer)
    assert row.ids.tolist() == [*tokenizer.encode_prompt("2 + 2 = fo"), *tokenizer.encode_continuation("ur"), tokenizer.eos_id]
    assert row.ids[:-1].tolist() != tokenizer.encode_prompt("2 + 2 = four")


def test_a_chat_ends_with_the_opening_of_the_model_s_turn(smollm2: Pretrained) -> None:
    chat = [{"role": "system", "content": "Be brief. "}, {"role": "user", "content": "Have you played Doom? "}]
    tokenizer, fast = smollm2.tokenizer, smollm2.tokenizer.fast
    row = supervise_one([Message(role=turn["role"], content=turn["content"]) for turn in chat], "confirm(name[Doom])", tokenizer)
    rendered = str(fast.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
    assert rendered.endswith("<|im_start|>assistant\n")
    assert row.ids[: row.prompt_length].tolist() == fast(rendered, add_special_tokens=False)["input_ids"]
    completion = tokenizer.encode_continuation("confirm(name[Doom])")
    assert row.ids[row.prompt_length :].tolist() == [*completion, tokenizer.eos_id]


LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"], include_characters="\n\t\r")


@given(lead=st.sampled_from(["", " "]), target=st.text(LETTERS, min_size=1, max_size=40).filter(str.strip))
def test_a_completion_says_its_target_to_the_letter(smollm2: Pretrained, lead: str, target: str) -> None:
    tokenizer = smollm2.tokenizer
    row = supervise_one(f"Output:{lead}", target, tokenizer)
    assert tokenizer.decode_continuation(row.ids[row.prompt_length : -1].tolist()) == lead + target
    assert row.ids[-1] == tokenizer.eos_id


def test_rows_that_are_too_long_are_all_counted_and_the_first_ones_named_by_file_and_line(
    smollm2: Pretrained, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["inform(name[Doom]),Doom is a game.", *(f'inform(name[Doom]),"{"Doom, " * 200}{index}"' for index in range(7))]
    (folder / "train.csv").write_text("mr,ref\n" + "\n".join(rows))
    task = ViggoTask(data=str(folder), prompt_style="none")
    examples = list(task.load("train"))
    with pytest.raises(SofitError) as error:
        supervise(task, examples, smollm2.tokenizer, 100)
    message = str(error.value)
    assert message.startswith("7 of 8 examples cannot be trained on")
    assert f"{folder}/train.csv:3: " in message
    assert "more than trainer.max_length = 100" in message
    assert "and 2 more" in message
    assert f"{folder}/train.csv:2:" not in message
    assert "raise trainer.max_length" in message
    assert len(supervise(task, examples, smollm2.tokenizer, 2048)) == 8


def test_an_example_fits_if_it_has_as_many_tokens_as_allowed(smollm2: Pretrained) -> None:
    length = len(supervise_one("Output: ", "inform(name[Doom])", smollm2.tokenizer))
    assert len(supervise_one("Output: ", "inform(name[Doom])", smollm2.tokenizer, length)) == length
    with pytest.raises(SofitError, match=rf"train-7: {length} tokens \(2 of prompt, {length - 2} of completion\)"):
        supervise_one("Output: ", "inform(name[Doom])", smollm2.tokenizer, length - 1)


@pytest.mark.parametrize(("prompt", "target"), [("A: <|new|>", "yes"), ("A: ", "yes <|new|>"), ("A: ", "yes")])
def test_a_token_that_the_model_has_no_embedding_for_is_an_error_that_names_the_row(
    tiny_model_folder: Path, tmp_path: Path, prompt: str, target: str
) -> None:
    """As where tokens were added to a tokenizer, here also the end of sequence, and the embeddings stayed as they were."""
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    fast = load_pretrained(str(folder)).tokenizer.fast
    fast.add_tokens(["<|new|>"])
    if "<|new|>" not in prompt + target:
        fast.add_special_tokens({"eos_token": "<|end of output|>"})
    fast.save_pretrained(folder)
    tokenizer = load_pretrained(str(folder)).tokenizer
    message = r"train-7: token 4915\d is beyond the model's 49152 embeddings\. .*its embeddings were not resized\."
    with pytest.raises(SofitError, match=message):
        supervise_one(prompt, target, tokenizer)
    if "<|new|>" in prompt:
        with pytest.raises(SofitError, match=message):
            tokenize_prompts(EchoTask(), [Example(id="train-7", input=prompt, target="")], tokenizer)


@pytest.mark.parametrize("target", ["", " ", "\n"])
def test_an_empty_target_is_an_error_that_names_the_row(smollm2: Pretrained, target: str) -> None:
    with pytest.raises(SofitError, match="train-7: the target is empty"):
        supervise_one("Output: ", target, smollm2.tokenizer)


def test_an_empty_prompt_is_an_error_that_names_the_row(smollm2: Pretrained) -> None:
    with pytest.raises(SofitError, match="train-7: the prompt has no token"):
        supervise_one("", "inform(name[Doom])", smollm2.tokenizer)


def test_a_target_that_spells_a_special_token_is_an_error_that_shows_it(smollm2: Pretrained) -> None:
    with pytest.raises(SofitError, match=r"train-7: the model's tokenizer cannot write '<\|im_end\|>' of the target"):
        supervise_one("Output: ", "inform(name[<|im_end|>])", smollm2.tokenizer)


def test_the_letters_that_even_the_real_tokenizer_lacks_are_named(smollm2: Pretrained) -> None:
    with pytest.raises(SofitError, match=re.escape(r"cannot write '\x04' of the target")):
        supervise_one("Output: ", "inform(name[Doom\x04])", smollm2.tokenizer)


def test_every_letter_that_a_tokenizer_lacks_is_named() -> None:
    letters = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={letter: index for index, letter in enumerate("</s>abc ")}, merges=[])
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=letters)
    with pytest.raises(SofitError, match="cannot write 'é', 'x' of the target"):
        supervise_one("a b", "aéabxb", Tokenizer(fast, (0,)))

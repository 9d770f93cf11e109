import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sofit import SofitError, read_split
from sofit.pretrained import Pretrained, Tokenizer

SPECIAL = ["<unk>", "<s>", "</s>"]
CORPUS = [
    "inform(name[The Witcher 3], rating[excellent], genres[role-playing])",
    "Output: verify_attribute(name[Little Big Adventure], release_year[1994])",
    "Were there even any terrible games in 2014?",
    "I really like indie games, and the multiplayer ones too.",
]
BOS = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
KINDS = ["llama 2", "metaspace", "llama 3", "smollm2"]


def sentencepiece_like() -> Backend:
    """BPE over characters with a fall-back to bytes, as SentencePiece's models have it."""
    learner = Backend(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    merges = [tuple(merge) for merge in learned["merges"]]
    model = models.BPE(
        {token: id for id, token in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    backend = Backend(model)
    backend.add_special_tokens(SPECIAL)
    backend.post_processor = BOS
    return backend


def llama2_like() -> Backend:
    backend = sentencepiece_like()
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    return backend


def metaspace_like() -> Backend:
    backend = sentencepiece_like()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first"), decoders.Fuse()]
    backend.decoder = decoders.Sequence(steps)
    return backend


def llama3_like() -> Backend:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = BOS
    return backend


def qwen2_like() -> Backend:
    backend = llama3_like()
    backend.normalizer = normalizers.NFC()
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(words), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return backend


def wrap(backend: Backend, chat_template: str | None = None) -> Tokenizer:
    named = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL, strict=True))
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=chat_template, **named), (2,))


@pytest.fixture(scope="session", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    makers = {"llama 2": llama2_like, "metaspace": metaspace_like, "llama 3": llama3_like}
    return request.getfixturevalue("smollm2").tokenizer if request.param == "smollm2" else wrap(makers[request.param]())


def texts(min_size: int = 0) -> st.SearchStrategy[str]:
    """Texts as tasks have them, mixed with any characters.

    SmolLM2 has no tokens for some control characters and for the bytes of planes that Unicode does not use; "▁" is how
    SentencePiece spells a space.
    """
    letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cn", "Co"), exclude_characters="▁")
    words = st.sampled_from(["inform", "(", "name[", "]", " ", "  ", "\n", "é", "☃", "Output:", ", ", "2014", "\t"])
    return st.lists(words | st.text(letters, max_size=4), min_size=min_size, max_size=12).map("".join)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=texts(min_size=1), completion=texts())
def test_a_prompt_and_a_completion_decode_to_their_texts(tokenizer: Tokenizer, prompt: str, completion: str) -> None:
    # Before the very first letter, SentencePiece does not tell a space of its own from one of the text.
    assume(prompt and not prompt.startswith(" "))
    ids = tokenizer.encode_prompt(prompt) + tokenizer.encode_continuation(completion)
    assert tokenizer.decode(ids) == prompt + completion


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts())
def test_a_completion_decodes_alone(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode_continuation(tokenizer.encode_continuation(text)) == text


def test_real_rows_decode_to_their_texts(tokenizer: Tokenizer, shared_data: Path) -> None:
    for record in list(read_split(str(shared_data / "viggo"), "validation"))[:200]:
        prompt = f"Input: {record.text('ref')}\nOutput:"
        completion = f" {record.text('mr')}"
        assert (
            tokenizer.decode(tokenizer.encode_prompt(prompt) + tokenizer.encode_continuation(completion)) == prompt + completion
        )


def test_a_completion_starts_without_a_space_of_the_tokenizer() -> None:
    tokenizer = wrap(llama2_like())
    assert tokenizer.fast.tokenize("inform")[0].startswith("▁")
    tokens = tokenizer.fast.convert_ids_to_tokens(tokenizer.encode_continuation("inform"))
    assert "".join(tokens) == "inform"


def test_only_a_tokenizer_that_sets_bos_itself_starts_prompts_with_it(smollm2: Pretrained) -> None:
    assert wrap(llama2_like()).encode_prompt("a")[0] == 1
    silent = llama3_like()
    silent.post_processor = processors.ByteLevel()
    assert wrap(silent).encode_prompt("inform") == wrap(silent).encode_continuation("inform")
    assert smollm2.tokenizer.bos_id not in smollm2.tokenizer.encode_prompt("a")


def test_a_prompt_never_ends_with_eos() -> None:
    closing = llama3_like()
    closing.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    assert wrap(closing).encode_prompt("inform") == wrap(llama3_like()).encode_prompt("inform")


def test_a_completion_has_neither_bos_nor_eos(tokenizer: Tokenizer) -> None:
    assert not {tokenizer.bos_id, tokenizer.eos_id} & set(tokenizer.encode_continuation("inform(name[x])"))


def test_truncation_and_padding_stored_with_a_tokenizer_are_switched_off() -> None:
    backend = llama3_like()
    backend.enable_truncation(max_length=4)
    backend.enable_padding(length=64)
    ids = wrap(backend).encode_prompt("Were there even any terrible games in 2014?")
    assert ids == wrap(llama3_like()).encode_prompt("Were there even any terrible games in 2014?")


def test_a_chat_ends_where_the_model_is_to_write(smollm2: Pretrained) -> None:
    ids = smollm2.tokenizer.encode_prompt([{"role": "user", "content": "Hello"}])
    assert ids == smollm2.tokenizer.fast.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, return_dict=False
    )
    assert str(smollm2.tokenizer.fast.decode(ids)).endswith("<|im_start|>assistant\n")


def test_the_chat_template_alone_decides_on_bos() -> None:
    template = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    ids = wrap(llama2_like(), template).encode_prompt([{"role": "user", "content": "Hello"}])
    assert ids.count(1) == 1


@pytest.mark.parametrize(
    ("date", "written"),
    [
        ("{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("{% macro head() %}{{ strftime_now('%A, %Y-%m-%d %H:%M') }}{% endmacro %}{{ head() }}", "Friday, 2024-07-26 00:00"),
        ("\n{{ strftime_now('%B %-d') }}", "\nJuly 26"),
    ],
)
def test_a_chat_that_names_the_day_has_the_same_ids_on_every_day(date: str, written: str) -> None:
    template = date + "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer = wrap(llama3_like(), template)
    ids = tokenizer.encode_prompt([{"role": "user", "content": "Hello"}])
    assert ids == tokenizer.encode_continuation(f"{written}Hello")


def test_a_chat_for_a_model_without_a_template_is_an_error() -> None:
    with pytest.raises(SofitError, match="no chat template"):
        wrap(llama2_like()).encode_prompt([{"role": "user", "content": "Hello"}])


def test_messages_that_the_template_refuses_are_an_error_with_its_words() -> None:
    template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(SofitError, match=re.escape("roles system, user: System role not supported")):
        wrap(llama2_like(), template).encode_prompt([{"role": "system", "content": "Be"}, {"role": "user", "content": "Hi"}])


def test_smollm2_ends_an_output_with_its_end_of_turn(smollm2: Pretrained) -> None:
    assert smollm2.tokenizer.fast.convert_ids_to_tokens(list(smollm2.tokenizer.eos_ids)) == ["<|im_end|>"]
    assert smollm2.tokenizer.vocab_size == smollm2.config["vocab_size"]


@pytest.mark.parametrize("prompt", ["Output: é ☃ 2014", " a  b\n", "<s>literal</s>"])
def test_a_saved_tokenizer_encodes_the_same_in_transformers(tokenizer: Tokenizer, tmp_path: Path, prompt: str) -> None:
    tokenizer.save(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(prompt)["input_ids"] == tokenizer.encode_prompt(prompt)
    assert (loaded.eos_token_id, loaded.bos_token_id) == (tokenizer.fast.eos_token_id, tokenizer.bos_id)
    assert loaded.chat_template == tokenizer.fast.chat_template


def test_a_saved_qwen2_tokenizer_encodes_the_same_in_transformers(tmp_path: Path) -> None:
    # For this family, transformers makes a tokenizer of its own from the vocabulary.
    tokenizer = wrap(qwen2_like())
    tokenizer.save(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*CORPUS, "a  2024 I've é\n\n ☃ release_year[2012]", "e\u0301"]:
        assert loaded(text)["input_ids"] == tokenizer.encode_prompt(text), text


def test_the_fingerprint_tells_tokenizers_apart(tmp_path: Path) -> None:
    plain, chat = wrap(llama2_like()), wrap(llama2_like(), "{{ messages }}")
    assert len({plain.fingerprint, chat.fingerprint, wrap(llama3_like()).fingerprint}) == 3
    chat.save(tmp_path)
    assert Tokenizer(PreTrainedTokenizerFast.from_pretrained(tmp_path), (2,)).fingerprint == chat.fingerprint

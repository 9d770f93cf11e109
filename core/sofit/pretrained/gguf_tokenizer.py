"""Building a tokenizer from the metadata of a GGUF file, with the `tokenizers` library alone."""

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from sofit.errors import SofitError
from sofit.pretrained.gguf_file import GgufFile

# How a text is split before the merges: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp.
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_SPLIT = _LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


def _split_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


_GPT2_SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
_LLAMA3_NAMES = ("llama-bpe", "llama3", "llama-v3")
_QWEN2_NAMES = ("qwen2", "deepseek-r1-qwen")
_PRE_TOKENIZERS = {
    "gpt-2": _GPT2_SPLIT,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2_SPLIT]),
    **dict.fromkeys(_LLAMA3_NAMES, _split_by(_LLAMA3_SPLIT)),
    **dict.fromkeys(_QWEN2_NAMES, _split_by(_QWEN2_SPLIT)),
}
"""By the name of the rule, `tokenizer.ggml.pre`. The rule "default" is not among them: it only means that it was not known."""

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "▁"
_SPECIAL_TOKENS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def tokenizer_from_gguf(file: GgufFile) -> tuple[Tokenizer, dict[str, Any]]:
    """Returns a tokenizer and what tokenizer_config.json says besides: special tokens and the chat template.

    Raises:
        SofitError: the file has no tokenizer, or one of a kind that sofit does not know.
    """
    metadata = file.metadata
    tokens, kinds = metadata.get("tokenizer.ggml.tokens", []), metadata.get("tokenizer.ggml.token_type", [])
    if not tokens or len(tokens) != len(kinds):
        raise SofitError(f"{file.path} holds no whole vocabulary. Use the model's Hugging Face folder.")
    match metadata.get("tokenizer.ggml.model"):
        case "gpt2":
            tokenizer = _byte_level(file, tokens)
        case "llama":
            tokenizer = _sentencepiece(metadata, tokens)
        case other:
            raise SofitError(f"{file.path} has a tokenizer of kind {other!r}. Known: gpt2, llama. Use the Hugging Face folder.")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind in (_UNKNOWN, _CONTROL)]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    user_defined = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _USER_DEFINED]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in user_defined])

    ids = {name: metadata.get(f"tokenizer.ggml.{key}_token_id") for name, key in _SPECIAL_TOKENS.items()}
    settings = {name: tokens[id] for name, id in ids.items() if id is not None}
    if _adds_bos(metadata) and "bos_token" in settings:
        bos = settings["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, ids["bos_token"])])
    return tokenizer, settings | {"chat_template": metadata.get("tokenizer.chat_template")}


def _adds_bos(metadata: Mapping[str, Any]) -> bool:
    """Whether a text starts with BOS; files that do not say so follow llama.cpp's defaults."""
    by_default = metadata["tokenizer.ggml.model"] == "llama" or metadata.get("tokenizer.ggml.pre") in _LLAMA3_NAMES
    return metadata.get("tokenizer.ggml.add_bos_token", by_default)


def _byte_level(file: GgufFile, tokens: list[str]) -> Tokenizer:
    """Byte-pair encoding over bytes, as GPT-2 has it."""
    name = file.metadata.get("tokenizer.ggml.pre")
    if name not in _PRE_TOKENIZERS:
        raise SofitError(
            f"{file.path} splits text by the rule {name!r}, which sofit does not know. Known: {', '.join(_PRE_TOKENIZERS)}."
            " Use the model's Hugging Face folder, whose tokenizer.json spells the rule out."
        )
    merges = [tuple(merge.split(" ", 1)) for merge in file.metadata.get("tokenizer.ggml.merges", ())]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=name in _LLAMA3_NAMES))
    if name in _QWEN2_NAMES:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _PRE_TOKENIZERS[name]
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(metadata: Mapping[str, Any], tokens: list[str]) -> Tokenizer:
    """SentencePiece's byte-pair encoding with a fall-back to bytes, as Llama 2 has it."""
    vocabulary = {token: id for id, token in enumerate(tokens)}
    scores = metadata["tokenizer.ggml.scores"]
    kinds = metadata["tokenizer.ggml.token_type"]
    unknown = tokens[metadata.get("tokenizer.ggml.unknown_token_id", 0)]
    merges = _merges_by_score({token: id for token, id in vocabulary.items() if kinds[id] == _NORMAL}, scores)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    adds_space = metadata.get("tokenizer.ggml.add_space_prefix", True)
    spaces = normalizers.Replace(" ", _SPACE)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if adds_space else spaces
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if adds_space else steps)
    return tokenizer


def _merges_by_score(vocabulary: Mapping[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """Returns the merges that a SentencePiece vocabulary implies: all ways to join two tokens to a third, the best first."""
    merges = []
    for token, id in vocabulary.items():
        cuts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs = [(left, right) for left, right in cuts if left in vocabulary and right in vocabulary]
        merges += [(-scores[id], vocabulary[left], vocabulary[right], left, right) for left, right in pairs]
    return [(left, right) for *_, left, right in sorted(merges)]

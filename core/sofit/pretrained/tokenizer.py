"""Text to token ids and back, in the two places where ids matter: a prompt at the start, and a completion in the middle."""

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError
from sofit.pretrained.writing import write_json
from sofit.task import Message

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerFast


_TODAY = datetime(2024, 7, 26)
"""The date that chat templates are told. Llama 3's templates take the same one where they are told none."""
_DATE_CODES = "aAbBcdHIjmMpSUwWxXyYZ"
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def fast_tokenizer_class() -> "type[PreTrainedTokenizerFast]":
    """Imports transformers without its advice to get PyTorch, which is not needed here."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A model's tokenizer with its chat template.

    Decoding the ids of a prompt followed by those of a completion gives the prompt followed by the completion. Special tokens
    that are spelled out in a text become those tokens, and are left out when decoding. A chat has the same ids on every day: a
    template that writes today's date is told one that stays.
    """

    fast: "PreTrainedTokenizerFast"
    """The Hugging Face tokenizer behind it."""
    eos_ids: tuple[int, ...]
    """All tokens that end an output; the first one is written after a completion."""
    embeddings: int | None = None
    """How many tokens the model has embeddings for; None where no model is known."""

    def __post_init__(self) -> None:
        # A tokenizer.json may carry these over from its training, and would cut prompts in silence.
        self._backend.no_truncation()
        self._backend.no_padding()

    @property
    def eos_id(self) -> int:
        """The token that is written after a completion."""
        return self.eos_ids[0]

    @property
    def bos_id(self) -> int | None:
        """The token that starts a text, if the model has one; whether prompts start with it is another matter."""
        return self._id_of("bos_token")

    @property
    def pad_id(self) -> int:
        """A token that fills up rows; `eos_id` where the model has none of its own."""
        pad_id = self._id_of("pad_token")
        return self.eos_id if pad_id is None else pad_id

    @functools.cached_property
    def vocab_size(self) -> int:
        """One more than the highest token id. A model may have more logits than that."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    @functools.cached_property
    def json(self) -> str:
        """The text of tokenizer.json."""
        return self._backend.to_str()

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides which ids a text or a chat gets."""
        content = [self.json, self._chat_template, self._leading_ids, self.eos_ids]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def encode_prompt(self, prompt: str | Sequence[Message]) -> list[int]:
        """Returns the ids of a prompt: a text, after BOS if this tokenizer sets one, or a chat up to the model's turn.

        Raises:
            SofitError: the prompt is a chat, and the model has no chat template, or one that refuses these messages.
        """
        return self.encode_prompts([prompt])[0]

    def encode_prompts(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Returns the ids of each prompt as `encode_prompt` does, on all cores."""
        # A chat template writes BOS itself, where the model wants one.
        texts = [prompt if isinstance(prompt, str) else self._render_chat(prompt) for prompt in prompts]
        encoded = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [
            [*self._leading_ids, *encoding.ids] if isinstance(prompt, str) else encoding.ids
            for prompt, encoding in zip(prompts, encoded, strict=True)
        ]

    def encode_continuation(self, text: str) -> list[int]:
        """Returns the ids of a text that continues another: no BOS, and no space that is not in the text."""
        return self.encode_continuations([text])[0]

    def encode_continuations(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text as `encode_continuation` does, on all cores."""
        return [encoding.ids for encoding in self._inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def continuation_offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Returns where each token of `encode_continuations` starts and ends in its text, in whole characters."""
        return [encoding.offsets for encoding in self._inner.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids that begin with a prompt."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def decode_continuation(self, ids: Sequence[int]) -> str:
        """Returns the text of ids that follow others. Unlike `decode`, it keeps a space at the start in every tokenizer."""
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and tokenizer_config.json, which holds the chat template, into a folder.

        The class named in it makes transformers, 4 or 5, take tokenizer.json as it is; other classes rebuild parts of it.
        """
        settings: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": self.fast.model_max_length,
            "padding_side": self.fast.padding_side,
        }
        settings |= {name: str(token) for name in _SPECIAL_TOKENS if (token := getattr(self.fast, name)) is not None}
        if self.fast.chat_template is not None:
            settings["chat_template"] = self.fast.chat_template
        (folder / "tokenizer.json").write_text(self.json, encoding="utf-8")
        write_json(folder / "tokenizer_config.json", settings)

    def _id_of(self, special_token: str) -> int | None:
        token = getattr(self.fast, special_token)
        return None if token is None else self._backend.token_to_id(str(token))

    @property
    def _backend(self) -> "tokenizers.Tokenizer":
        return self.fast.backend_tokenizer

    @functools.cached_property
    def _leading_ids(self) -> list[int]:
        """What the tokenizer sets before a text; what it sets after one, a prompt must not have."""
        bare = self._backend.encode("a", add_special_tokens=False).ids
        whole = self._backend.encode("a", add_special_tokens=True).ids
        starts = [start for start in range(len(whole) - len(bare) + 1) if whole[start : start + len(bare)] == bare]
        return whole[: starts[0]] if starts else []

    @functools.cached_property
    def _inner(self) -> "tokenizers.Tokenizer":
        """The tokenizer as it works in the middle of a text, where it sets no space of its own.

        SentencePiece models set a space before a text and drop it when decoding (`Prepend`, `Metaspace` and `Strip`, or
        `add_prefix_space` of byte-level ones).
        """
        import tokenizers

        outer = json.loads(self.json)
        inner = {key: _without_prefix_space(value) if key in _PIPELINE else value for key, value in outer.items()}
        return self._backend if inner == outer else tokenizers.Tokenizer.from_str(json.dumps(inner))

    @functools.cached_property
    def _chat_template(self) -> str | None:
        """The template of chats, the default one of several, for which every day is `_TODAY`."""
        template = self.fast.chat_template
        template = template.get("default") if isinstance(template, dict) else template
        return _without_clock(template) if template and "strftime_now" in template else template

    def _render_chat(self, messages: Sequence[Message]) -> str:
        import jinja2

        template = self._chat_template
        if template is None:
            raise SofitError(
                "The task's prompts are chat messages, but this model has no chat template: it is not a chat model."
                " Use the instruct version of the model, or a task or task option whose prompts are plain text."
            )
        try:
            chat = [{"role": message["role"], "content": message["content"]} for message in messages]
            return str(self.fast.apply_chat_template(chat, chat_template=template, tokenize=False, add_generation_prompt=True))
        except jinja2.TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise SofitError(f"The model's chat template refuses messages with the roles {roles}: {error}.") from error


def _without_clock(template: str) -> str:
    """Returns a chat template with a `strftime_now` of its own, in the place of the one that transformers gives it."""
    # transformers hands no function on to a template, so this one is written in the template's language.
    codes = "".join(f".replace('%{code}', {_TODAY.strftime(f'%{code}')!r})" for code in _DATE_CODES)
    macro = "{% macro strftime_now(format) %}{{ format.replace('%-', '%')" + codes + " }}{% endmacro +%}"
    return macro + template


_PIPELINE = ("normalizer", "pre_tokenizer", "decoder")


def _without_prefix_space(part: Any) -> Any:
    """Returns a part of tokenizer.json that neither sets nor strips a space at the start; None where nothing is left."""
    if not isinstance(part, dict):
        return part
    for key in ("normalizers", "pretokenizers", "decoders"):
        if key in part:
            kept = [inner for step in part[key] if (inner := _without_prefix_space(step)) is not None]
            return {**part, key: kept}
    match part["type"]:
        case "Prepend":
            return None
        case "Strip" if part.get("content") == " ":
            return None
        case "Metaspace":
            return {**part, "prepend_scheme": "never"}
        case "ByteLevel":
            return {**part, "add_prefix_space": False}
    return part

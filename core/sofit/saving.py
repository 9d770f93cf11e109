"""What a run gives away: the merged model for transformers, and the adapter for PEFT."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sofit.config import Config
from sofit.model import Decoder, adapter_tensors, merged_tensors, to_hf_tensors
from sofit.processes import is_main
from sofit.start import lora_spec

if TYPE_CHECKING:
    from sofit.pretrained import Pretrained


def save_model(folder: Path, config: Config, pretrained: "Pretrained", trained: Decoder) -> None:
    """Writes `model/`, and for LoRA `adapter/`, into the run folder. All processes take part, and the main one writes.

    Args:
        folder: the run folder.
        config: the settings of the run.
        pretrained: what training started from; adapters are merged into its weights as they were stored, in float32
            and on the host: the device may be full.
        trained: the trained arrays: adapters alone, or the whole model.
    """
    from sofit.pretrained import PeftSettings, save_hf_model, save_peft_adapter

    lora, spec = config.lora, lora_spec(config)
    if lora is None or spec is None:
        makers = dict(to_hf_tensors(trained))
    else:
        settings = PeftSettings(
            base_model=pretrained.reference,
            r=lora.r,
            alpha=lora.alpha,
            dropout=lora.dropout,
            rslora=lora.rslora,
            target_modules=lora.target_modules,
        )
        adapters = dict(adapter_tensors(trained))
        if is_main():
            save_peft_adapter(folder / "adapter", settings, adapters)
        makers = dict(merged_tensors(trained.config, pretrained.tensors, adapters, spec.scale))
    if is_main():
        save_hf_model(folder / "model", pretrained.config, _Tensors(makers), pretrained.tokenizer)
    elif lora is None:  # The parts of its tensors lie with all processes.
        for make in makers.values():
            make()


class _Tensors(Mapping[str, np.ndarray]):
    """A model's tensors by their Hugging Face names, made when asked for."""

    def __init__(self, makers: Mapping[str, Callable[[], np.ndarray]]):
        self._makers = makers

    def __getitem__(self, name: str) -> np.ndarray:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

"""What may change between the parts of a run that is resumed."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sofit.config import Config
from sofit.config_loading import load_config
from sofit.errors import SofitError

_FIXED = ("task", "task_options", "mixture", "lora", "optimizer")
_FIXED_KEYS = ("trainer.train_batch_size", "trainer.seed", "trainer.loss_on")
"""What decides the batches or the function that is learnt."""
_TOLD = ("model", "data", "trainer.num_train_steps", "optimizer.learning_rate", "optimizer.max_grad_norm")
"""What may change and is told: other paths on another machine, a longer run, and what tames a loss that ran away."""

_log = logging.getLogger(__name__)


def check_settings(folder: Path, config: Config, *, tell: bool) -> None:
    """Compares the settings to resume a run with to those that its folder has, both with their defaults filled in.

    What decides the batches or the function must be the same: one config.yaml speaks for the whole run. A change of what may
    differ between machines, of the length, or of the learning rate is told. All else, such as the mesh, is free.

    Raises:
        SofitError: a setting differs that must not.
    """
    kept = load_config(str(folder / "config.yaml"))
    before, now = (dict(_leaves(settings.model_dump(mode="json"))) for settings in (kept, config))
    changes = {key: (before.get(key), now.get(key)) for key in [*before, *now] if before.get(key) != now.get(key)}
    told = {key: change for key, change in changes.items() if _is_told(key)}
    refused = {key: change for key, change in changes.items() if _is_fixed(key) and key not in told}
    if refused:
        raise SofitError(
            f"The run in {folder} was started with other settings: {_listed(refused)}."
            " Resume it with its own, or start another one with --out."
        )
    if told and tell:
        _log.warning("The run in %s goes on with other settings: %s.", folder, _listed(told))


def _is_fixed(key: str) -> bool:
    return key in _FIXED_KEYS or key.partition(".")[0] in _FIXED


def _is_told(key: str) -> bool:
    return key in _TOLD or (_is_fixed(key) and key.endswith(".data"))  # That of a part of a mixture.


def _listed(changes: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key} {_shown(old)} -> {_shown(new)}" for key, (old, new) in changes.items())


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every setting with its dotted key."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

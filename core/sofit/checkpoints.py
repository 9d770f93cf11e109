"""Checkpoints: what training changes, written whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from sofit.errors import SofitError
from sofit.trainer import TrainState


class Checkpoints:
    """The checkpoints of a run: the latest ones, and the one with the best score, each in a folder named by its step."""

    def __init__(self, folder: Path, keep: int):
        """Opens or makes `folder`/latest and `folder`/best; the former keeps `keep` checkpoints, the latter one."""
        self.folder = folder
        self._latest = _manager(folder / "latest", keep)
        self._best = _manager(folder / "best", 1)

    @property
    def last_step(self) -> int | None:
        """The step of the newest checkpoint."""
        return self._latest.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the checkpoint with the best score."""
        return self._best.latest_step()

    def save(self, step: int, state: TrainState) -> Path:
        """Writes the state after a step and returns where.

        Raises:
            SofitError: it cannot be written.
        """
        self._write(self._latest, step, _arrays(state))
        return self.folder / "latest" / str(step)

    def save_best(self, step: int, state: TrainState, score: float) -> None:
        """Writes the state as the best one so far.

        Raises:
            SofitError: it cannot be written.
        """
        self._write(self._best, step, {"score": _scalar(score, state), **_arrays(state)})

    def drop_best_after(self, step: int) -> None:
        """Deletes a best checkpoint of a later step, which a run that goes on from `step` comes to again."""
        if self.best_step is not None and self.best_step > step:
            self._best.delete(self.best_step)

    def restore(self, state: TrainState) -> TrainState:
        """Reads the newest checkpoint into a state of the same form.

        Raises:
            SofitError: it is not of such a state, but of another model or method, or it cannot be read.
        """
        return self._read(self._latest, "latest", state, {})[0]

    def restore_best(self, state: TrainState) -> tuple[TrainState, float]:
        """Reads the best checkpoint, and its score."""
        state, extra = self._read(self._best, "best", state, {"score": _scalar(0, state)})
        return state, float(extra["score"])

    def close(self) -> None:
        """Ends the background work."""
        self._latest.close()
        self._best.close()

    def _write(self, manager: ocp.CheckpointManager, step: int, arrays: Mapping[str, jax.Array]) -> None:
        try:
            manager.save(step, args=ocp.args.StandardSave(arrays), force=True)
        except (ValueError, OSError) as error:  # TensorStore raises a ValueError where the disk is full.
            kept = "The one before is kept." if manager.latest_step() is not None else "There is none before it."
            raise SofitError(
                f"The checkpoint of step {step} cannot be written to {self.folder}: {str(error).partition(chr(10))[0]}. {kept}"
            ) from error

    def _read(
        self, manager: ocp.CheckpointManager, name: str, state: TrainState, extra: Mapping[str, Any]
    ) -> tuple[TrainState, dict[str, Any]]:
        step = manager.latest_step()
        assert step is not None, "the caller has asked whether there is a checkpoint"
        where = self.folder / name / str(step)
        arrays = _arrays(state)
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, {**arrays, **extra})
        try:
            # Asked for first: a restore that fails half-way leaves tasks behind that complain on the screen.
            found = manager.item_metadata(step).tree
            if difference := _first_difference(found, wanted):
                remedy = "Resume a run with the model and the settings that it was started with."
                raise SofitError(f"The checkpoint {where} is of another run: {difference}. {remedy}")
            read = manager.restore(step, args=ocp.args.StandardRestore(wanted))
        except (ValueError, KeyError, OSError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            remedy = "Delete its folder to go on from an earlier one, or start again."
            raise SofitError(f"The checkpoint {where} cannot be read: {reason}. {remedy}") from error
        restored = jax.tree.unflatten(jax.tree.structure(state), [read[key] for key in arrays])
        return restored, {key: read[key] for key in extra}


def _scalar(number: float, state: TrainState) -> jax.Array:
    """Returns a number as an array that lies on the devices that the state lies on."""
    array = jax.numpy.float32(number)
    partitioning = state.trainable.partitioning
    return array if partitioning is None else partitioning.replicate(array)


def _manager(folder: Path, keep: int) -> ocp.CheckpointManager:
    # Not in the background: the next step gives the arrays' memory away.
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True)
    return ocp.CheckpointManager(folder.absolute(), options=options, item_handlers=ocp.StandardCheckpointHandler())


def _first_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Says in which array a checkpoint differs from what is wanted of it; None where it has the same ones."""
    for name in [*found, *wanted]:
        if name not in found:
            return f"it has no array {name}"
        if name not in wanted:
            return f"it has an array {name}, which this run does not"
        forms = [f"{np.dtype(array.dtype).name}{tuple(array.shape)}" for array in (found[name], wanted[name])]
        if forms[0] != forms[1]:
            return f"its array {name} is {forms[0]}, where this run has {forms[1]}"
    return None


def _arrays(state: TrainState) -> dict[str, jax.Array]:
    """Returns the arrays of a state by their path in it."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}

"""Mixed precision by a policy string in the notation of jmp: `p=f32,c=bfloat16`."""

from dataclasses import dataclass
from typing import Literal

from sofit.errors import SofitError

DType = Literal["float32", "bfloat16", "float16"]
"""float16 is in no policy; it only stands in for bfloat16 where memory is planned."""

_DTYPES: dict[str, DType] = {
    "f32": "float32",
    "float32": "float32",
    "full": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    # jmp takes float16 for half where there is no TPU; see _parse_dtype for why that is not offered.
    "half": "bfloat16",
}
_PARTS = {"p": "params", "params": "params", "c": "compute", "compute": "compute", "o": "output", "output": "output"}


@dataclass(frozen=True)
class Precision:
    """The types of a policy, by the names that numpy and JAX know. Softmax, norms, logits and loss are always float32."""

    params: DType = "float32"
    """Stored parameters and the optimiser's state."""
    compute: DType = "float32"
    """Activations and matrix products."""


def parse_precision(policy: str) -> Precision:
    """Reads a policy: one type for everything ("f32"), or a type for each part ("p=f32,c=bf16").

    As in jmp, params are float32 unless given, and compute follows params. The output, jmp's third part, is float32 here.

    Raises:
        SofitError: a part or type is unknown, or a type is not offered.
    """
    if "=" not in policy:
        dtype = _parse_dtype(policy, policy)
        return Precision(dtype, dtype)
    parts: dict[str, DType] = {}
    for item in policy.split(","):
        key, _, value = (text.strip() for text in item.partition("="))
        if key not in _PARTS:
            raise SofitError(f"Precision {policy!r} has an unknown part {key!r}. Parts: p (params), c (compute), o (output).")
        if _PARTS[key] in parts:
            raise SofitError(f"Precision {policy!r} sets {_PARTS[key]} twice.")
        parts[_PARTS[key]] = _parse_dtype(value, policy)
    if parts.get("output", "float32") != "float32":
        raise SofitError(f"Precision {policy!r} asks for an output in bfloat16. Logits and loss stay in float32: leave o= out.")
    params = parts.get("params", "float32")
    return Precision(params, parts.get("compute", params))


def _parse_dtype(name: str, policy: str) -> DType:
    name = name.strip()
    if name in ("f16", "float16"):
        raise SofitError(
            f"Precision {policy!r} asks for float16, whose gradients vanish without loss scaling, which sofit does not do."
            " Use bfloat16, which has the same size."
        )
    if name not in _DTYPES:
        raise SofitError(f"Precision {policy!r} has an unknown type {name!r}. Types: f32 (float32, full), bf16 (bfloat16, half).")
    return _DTYPES[name]

"""A run takes another way to compute attention only where that agrees with blocks and is quicker."""

from collections.abc import Sequence

import pytest
from haliax import NamedArray
from sharded_runs import MODEL

from sofit.attention_choice import choose_attention, compare, judge
from sofit.errors import SofitError
from sofit.model.attention import Attend, Context, Joined, Merged, attend
from sofit.model.attention.flash import InKernels


@pytest.mark.parametrize("way", [Joined("xla"), Merged(InKernels(interpret=True))], ids=["in one call", "in kernels"])
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 0.01)])
def test_every_way_agrees_with_blocks_in_the_trial(way: Attend, dtype: str, most: float) -> None:
    assert dtype in ("float32", "bfloat16")
    assert 0 < compare(way, MODEL, dtype).difference < most


def test_a_way_that_is_slower_is_not_taken() -> None:
    is_better, why = judge(Merged(InKernels(interpret=True)), MODEL, "float32")
    assert not is_better
    assert float(why.removeprefix("takes ").removesuffix(" of the time")) > 1


def test_a_way_that_gives_something_else_is_not_taken() -> None:
    def doubled(query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
        return attend(query, contexts) * 2

    assert judge(doubled, MODEL, "bfloat16") == (False, "differs from it by 1")


def test_a_way_that_fails_is_not_taken() -> None:
    is_better, why = judge(Joined("cudnn"), MODEL, "bfloat16")
    assert not is_better
    assert why.startswith("failed: ")
    assert "\n" not in why


@pytest.mark.parametrize("asked", ["auto", "blocks"])
def test_a_processor_has_no_choice(asked: str) -> None:
    assert asked in ("auto", "blocks")
    assert choose_attention(asked, MODEL, "bfloat16", None) is attend


@pytest.mark.parametrize(("asked", "needs"), [("cudnn", "an NVIDIA GPU"), ("flash", "a TPU")])
def test_what_the_device_does_not_have_is_an_error(asked: str, needs: str) -> None:
    assert asked in ("cudnn", "flash")
    with pytest.raises(SofitError, match=rf"trainer\.attention: {asked} needs {needs}, and this is a cpu\. Set it to auto\."):
        choose_attention(asked, MODEL, "bfloat16", None)

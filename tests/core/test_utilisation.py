"""The share of the peak is that of the operations counted, and the peak is a rate of this machine."""

import jax
import pytest
from random_models import decoder_of, torch_model

from sofit.flops import flops_per_step
from sofit.packing import BatchShape
from sofit.utilisation import Utilisation

SHAPE = BatchShape(rows=1, prefix_length=48, slots=2, slot_length=16, targets=32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_measured_on_the_devices_that_are_given(dtype: str) -> None:
    config = decoder_of(torch_model("llama 3")).config
    measured = Utilisation.measure(config, None, dtype, jax.devices())
    # Any machine multiplies matrices faster than 1 MFLOP/s, and none does so at 10 EFLOP/s.
    assert 1e6 < measured.peak_flops_per_second < 1e19


def test_a_step_that_takes_as_long_as_its_products_at_the_peak_reaches_all_of_it() -> None:
    config = decoder_of(torch_model("llama 3")).config
    compared = Utilisation(2e9, config, None)
    seconds = flops_per_step(config, [SHAPE, SHAPE]) / 2e9
    assert compared.share([SHAPE, SHAPE], seconds) == pytest.approx(1)
    assert compared.share([SHAPE, SHAPE], 4 * seconds) == pytest.approx(0.25)

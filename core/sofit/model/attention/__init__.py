"""Attention of a block of queries to several contexts at once, with one softmax over all of them.

Training (shared prefix and own slot), prefill, and decoding (prefix, prompt and generated tokens) are this one function. What it
does with one context depends on the device: blocks of queries anywhere (`blocks`), kernels on a TPU (`flash`). On an NVIDIA GPU
all contexts may go through one kernel instead (`joined`).
"""

from sofit.model.attention.context import Context
from sofit.model.attention.joined import Joined
from sofit.model.attention.merge import ATTENDED, Attend, Merged, Mixer, attend

__all__ = ["ATTENDED", "Attend", "Context", "Joined", "Merged", "Mixer", "attend"]

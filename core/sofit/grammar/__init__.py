"""Grammars: what a task's outputs look like, and what is wrong with a text that is none.

One grammar serves the data check, constrained decoding, validation and the metrics. A Lark grammar stays inside the subset
of Lark that python-lark (LALR) and llguidance read alike; docs/grammars.md describes it.
"""

from sofit.grammar.grammar import Grammar
from sofit.grammar.problem import Problem

__all__ = ["Grammar", "Problem"]

"""The task: from a question and a database's schema to the SELECT that answers it.

Tables:
city(name text, state text, population int)
Question: What is the biggest city in Ohio?
SQL: SELECT name FROM city WHERE state = "ohio" ORDER BY population DESC LIMIT 1
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sofit import Example, Grammar, Prediction, Problem, Scores, SofitError, Task, read_examples
from sofit_grammars import builtin_grammar
from sofit_grammars.sql_names import SQL_ROLES, sql_grammar_of
from sofit_sql.demo import demo_folder, demo_split
from sofit_sql.prompt import SchemaStyle, described, prompt_for
from sofit_sql.rules import RULES, check_names
from sofit_sql.sources import RESULT_ALIAS, SCHEMA_REMEDY, Question, example_from, schema_in_folder

_RESULTS = ", ".join(f"{RESULT_ALIAS}{number}" for number in range(10))


@dataclass(frozen=True, kw_only=True)
class SqlTask(Task):
    """Questions to a database to SQL."""

    name: ClassVar[str] = "sql"
    description: ClassVar[str] = "questions to a database to SQL"
    rules: ClassVar[Mapping[str, str]] = RULES
    roles: ClassVar[Mapping[str, str]] = SQL_ROLES

    schema_style: SchemaStyle = field(
        default="compact", metadata={"help": "compact: table(column type, ...); create: CREATE TABLE"}
    )
    sample_values: int = field(default=0, metadata={"help": "how many values of each text column the prompt shows"})
    schemas: str = field(default="", metadata={"help": "the folder of the databases or schemas, if it is not that of the data"})
    closed_names: bool = field(
        default=True, metadata={"help": "whether a query may only name tables and columns of its database"}
    )
    aliases: str = field(
        default=_RESULTS, metadata={"help": "names that queries give to results with AS and then call them by, with commas"}
    )
    demo_seed: int = field(default=0, metadata={"help": "draws another demo set"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sample_values < 0:
            raise SofitError(f"Option 'sample_values' must not be negative. Got {self.sample_values}.")

    def load(self, split: str) -> Sequence[Example]:
        """Returns the demo set, or the rows of `data`."""
        make = functools.partial(example_from, folder=self._folder)
        if not self.is_demo:
            return read_examples(self.data, split, make)
        return [make(record, f"{split}-{index}") for index, record in enumerate(demo_split(split, self.demo_seed))]

    @property
    def _folder(self) -> str:
        if self.is_demo:
            return str(demo_folder(self.demo_seed))
        path = Path(self.data)
        return self.schemas or str(path.parent if path.is_file() else path)

    def prompt(self, example: Example) -> str:
        """Returns the schema, the question, and where the query begins."""
        return prompt_for(example.input, example.input.schema, self.schema_style, self.sample_values)

    def grammar_for(self, example: Example) -> Grammar:
        """Returns the grammar of the example's database."""
        if not self.closed_names:
            return builtin_grammar("sql")
        schema = example.input.schema
        aliases = filter(None, map(str.strip, self.aliases.split(",")))
        return sql_grammar_of(schema.name, schema.table_names, (*schema.column_names, *aliases))

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Scores queries; see `sofit_sql.metrics`."""
        from sofit_sql.metrics import score_queries  # It needs sqlglot, which commands that only list tasks shall not wait for.

        return score_queries(predictions, [self.grammar_for(prediction.example) for prediction in predictions])

    def check_for(self, example: Example, text: str) -> Iterator[Problem]:
        """Yields the broken rules of `sofit_sql.rules`."""
        return check_names(text, self.grammar_for(example), example.input.schema)

    def example_for(self, text: str) -> Example:
        """Makes an example of a question to the only database of the data.

        Raises:
            SofitError: the data has none, or several.
        """
        schema = schema_in_folder(self._folder, "")
        if schema is None:
            raise SofitError(f"{self._folder} has no schema, or several. To ask a question, one is needed. {SCHEMA_REMEDY}")
        return Example(id="input", input=Question(text, schema), target="")

    def instruction_row(self, example: Example) -> dict[str, str]:
        """Returns what stands before every question, the question and the query."""
        schema = described(example.input.schema, self.schema_style, self.sample_values)
        return {"instruction": schema, "input": str(example.input), "output": example.target}

    def canonical(self, text: str, example: Example) -> str:
        """Returns the query with its letter case, quotes, white space and aliases in one form."""
        from sofit_sql.canonical import canonical_sql

        canonical = canonical_sql(text, example.input.schema)
        return text if canonical is None or not self.grammar_for(example).accepts(canonical) else canonical

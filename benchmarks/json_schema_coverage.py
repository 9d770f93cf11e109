"""What share of real schemas can constrain decoding, and whether any verdict on their instances is wrong.

    python benchmarks/json_schema_coverage.py ../shared/data

Reads JSONSchemaBench (Geng et al. 2025, arXiv:2501.10868) and the JSON Schema Test Suite. Of each instance it asks two verdicts,
and compares them with the label: that of `Grammar.accepts`, and that of the masks, which is whether they let the value be
written. The test suite is asked as it says: `format` is a note in the main part and counts in the part optional/format.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sofit import Grammar, SofitError


@dataclass
class Tally:
    """The counts of one collection of schemas."""

    schemas: int = 0
    constraining: int = 0
    validating: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, schema: Any, tests: list[dict[str, Any]], formats: bool | None) -> None:
        """Tries one schema on its instances."""
        self.schemas += 1
        try:
            grammar = Grammar.from_json_schema(schema, formats=formats)
        except SofitError as error:
            self.reasons[str(error)[:70]] += 1
            return
        self.validating += 1
        constrains = not grammar.flaws
        self.constraining += constrains
        for flaw in grammar.flaws[:1]:
            self.reasons[flaw.message.split(": ", 1)[-1][:70]] += 1
        for test in tests:
            text = json.dumps(test["data"], ensure_ascii=False)
            try:
                self._count("validation", name, test, grammar.accepts(text))
            except SofitError as error:
                self.reasons[str(error)[:70]] += 1
            if constrains:
                written = grammar.spelling(test["data"])
                self._count("masks", name, test, written is not None)

    def _count(self, kind: str, name: str, test: dict[str, Any], verdict: bool) -> None:
        self.verdicts[kind] += 1
        if verdict != test["valid"]:
            self.verdicts[f"{kind} wrong"] += 1
            says = "accept" if verdict else "refuse"
            self.wrong.append(f"{kind} {says} {json.dumps(test['data'])[:60]} of {name}: {test['description']}")

    def show(self, name: str, *, verbose: bool) -> None:
        """Prints the counts."""
        share = self.constraining / self.schemas
        print(f"{name}: {self.schemas} schemas, {self.constraining} constrain ({share:.1%}), {self.validating} validate")
        for kind in ("validation", "masks"):
            print(f"  {kind:<10} {self.verdicts[kind]:>5} verdicts, {self.verdicts[f'{kind} wrong']} wrong")
        for wrong in self.wrong if verbose else self.wrong[:20]:
            print(f"    {wrong}")
        for reason, count in self.reasons.most_common(None if verbose else 8):
            print(f"  {count:>4} refused: {reason}")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of jsonschemabench and json-schema-test-suite")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    bench = Tally()
    for row in rows(arguments.data / "jsonschemabench" / "dev.jsonl"):
        bench.add(row["id"], row["schema"], row["tests"], None)
    bench.show("JSONSchemaBench", verbose=arguments.verbose)
    for draft in ("draft2020-12", "draft7"):
        suite = Tally()
        for row in rows(arguments.data / "json-schema-test-suite" / f"{draft}.jsonl"):
            formats = row["file"].startswith("optional/format")
            schema = row["schema"]
            if isinstance(schema, dict) and "$schema" not in schema and draft == "draft7":
                schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
            suite.add(row["id"], schema, row["tests"], formats)
        suite.show(f"JSON Schema Test Suite, {draft}", verbose=arguments.verbose)


if __name__ == "__main__":
    main()

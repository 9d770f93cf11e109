"""The masks of a JSON Schema enforce all of it, or it is refused; on real and random schemas they agree with the verdicts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sofit import Grammar, SofitError
from sofit.grammar.engine import ByteMatcher
from sofit.grammar.walks import random_output
from sofit.json_schema.formats import DESCRIBED
from sofit.json_schema.grammar import JsonSchemaGrammar

REFUSED = [
    # A schema, a word of the reason, and a text that the masks alone would let through, or that they alone would refuse.
    ({"not": {"type": "string"}}, "not", None),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf", None),
    ({"type": "array", "uniqueItems": True}, "uniqueItems", None),
    ({"x-guidance": {"lenient": True}, "not": {}}, "not", None),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}, "minProperties", '{"a": 1, "a": 1}'),
    ({"type": "integer", "minimum": 2**53 + 1}, "2**53", str(2**53)),
    ({"const": 12345678901234567890}, "2**53", "12345678901234567890"),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "exclusive", "0"),
    ({"allOf": [{"type": "number", "exclusiveMaximum": 0}, {"minimum": -0.25}]}, "exclusive", "-0"),
    ({"type": "string", "format": "idn-email"}, "idn-email", None),
    ({"type": "string", "contentEncoding": "base64"}, "contentEncoding", None),
    ({"type": "string", "pattern": "^(?=a)"}, "look-around", None),
    ({"type": "object", "properties": {"a\u0001": {}}, "required": ["a\u0001"]}, "control character", None),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "word", "text"), REFUSED, ids=[json.dumps(schema) for schema, *_ in REFUSED])
def test_what_the_masks_would_not_enforce_is_refused_with_the_reason_and_still_validates(
    schema: dict[str, Any], word: str, text: str | None
):
    grammar = Grammar.from_json_schema(schema)
    assert word in grammar.flaws[0].message
    assert isinstance(grammar.accepts("1"), bool)
    if text is not None:
        assert ByteMatcher(grammar.constraint()).accepts(text) != grammar.accepts(text)


def test_a_name_cannot_be_spelt_around():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "x/y": {"type": "integer"}}}
    grammar = Grammar.from_json_schema(schema)
    assert grammar.flaws == ()
    matcher = ByteMatcher(grammar.constraint())
    for text in ('{"\\u0061": "x"}', '{"a": 1, "a": "x"}', '{"x\\/y": "x"}'):
        assert not grammar.accepts(text)
        assert not matcher.accepts(text)


class SchemaMaker:
    """Makes schemas, and values near them, by chance."""

    NAMES = ("a", "b", "ab", "c", "é")
    PATTERNS = ("^a", "b$", "^[ab]{1,3}$", "a", "^a|b$", "\\d", "^\\w+$", "^.b", "[^a]", "^(a|bc)+$", "^\\S{1,2}$")
    FORMATS = (*DESCRIBED, "nonsense")
    TEXTS = ("", "a", "b", "ab", "abc", "bc", "é", "a b", "1", "2020-01-31", "1.2.3.4", "a@b.c", "😀", "\n", "12:00:00Z", 'a"b')
    NUMBERS = (0, 1, -1, 2, 3, 5, 10, -7, 0.5, 1.5, -0.25, 2.75, 0.1, 1e-7, 12.0)

    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        kind = self.chance.randrange(6 if depth < 2 else 4)
        if kind < 4:
            return self.chance.choice([self.TEXTS, self.TEXTS, self.NUMBERS, (None, True, False)][kind])
        if kind == 4:
            return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.chance.choice(self.NAMES): self.value(depth + 1) for _ in range(self.chance.randrange(4))}

    def some(self, share: float, **keywords: Any) -> dict[str, Any]:
        return {key: value for key, value in keywords.items() if self.chance.random() < share}

    def schema(self, depth: int = 0) -> dict[str, Any]:
        choose, below = self.chance.choice, depth + 1
        if depth == 3:
            return choose([{}, {"type": "integer"}, {"type": "string"}, {"type": "boolean"}])
        kind = self.chance.randrange(10)
        if kind == 0:
            return choose([{"enum": [self.value(1), self.value(1)]}, {"const": self.value(1)}])
        if kind == 1:
            bounds = {
                key: choose([0, 1, -3, 5, 0.5, 2.5]) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            }
            return {"type": choose(["integer", "number"]), **self.some(0.3, **bounds, multipleOf=choose([2, 0.5, 0.1]))}
        if kind in (2, 3):
            lengths = self.some(0.3, minLength=choose(range(4)), maxLength=choose(range(6)))
            return {"type": "string", **lengths, **self.some(0.3, pattern=choose(self.PATTERNS), format=choose(self.FORMATS))}
        if kind == 4:
            counts = self.some(0.3, minItems=choose(range(3)), maxItems=choose(range(4)))
            return {"type": "array", **counts, **self.some(0.7, items=self.schema(below), prefixItems=[self.schema(below)])}
        if kind < 8:
            names = self.chance.sample(self.NAMES, 2)
            properties = {name: self.schema(below) for name in names}
            rest = self.some(
                0.4, required=self.chance.sample(self.NAMES, 1), additionalProperties=choose([False, self.schema(below)])
            )
            more = self.some(
                0.15, patternProperties={choose(self.PATTERNS): self.schema(below)}, minProperties=1, maxProperties=2
            )
            return {**self.some(0.9, type="object", properties=properties), **rest, **more}
        return {choose(["anyOf", "allOf", "oneOf"]): [self.schema(below), self.schema(below)]}


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_masks_and_verdicts_agree_on_every_schema_that_constrains(count: int):
    maker = SchemaMaker(seed=count)
    tried = 0
    while tried < count:
        schema = maker.schema()
        grammar = Grammar.from_json_schema(schema)
        assert isinstance(grammar, JsonSchemaGrammar)
        if grammar.flaws:
            continue
        tried += 1
        matcher = ByteMatcher(grammar.constraint())
        for _ in range(5):
            output = random_output(matcher, maker.chance, 300, 1)
            assert output is None or grammar.accepts(output), (schema, output)
        for _ in range(15):
            value = maker.value()
            is_accepted = grammar.accepts(json.dumps(value))
            assert (grammar.spelling(value) is not None) == is_accepted, (schema, value)


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return list(map(json.loads, file))


def test_no_verdict_on_real_schemas_is_wrong(shared_data: Path):
    tried, constrains = 0, 0
    for row in rows(shared_data / "jsonschemabench" / "dev.jsonl")[::4]:
        grammar = Grammar.from_json_schema(row["schema"])
        constrains += not grammar.flaws
        for test in row["tests"]:
            tried += 1
            assert grammar.accepts(json.dumps(test["data"])) == test["valid"], (row["id"], test["description"])
            if not grammar.flaws and test["valid"]:
                written = grammar.spelling(test["data"])
                assert written is not None, (row["id"], test["description"])
                assert grammar.accepts(written)
            elif not grammar.flaws:
                assert not ByteMatcher(grammar.constraint()).accepts(json.dumps(test["data"])), row["id"]
    assert tried > 400
    assert constrains > 100


@pytest.mark.parametrize("draft", ["draft2020-12", "draft7"])
def test_no_verdict_of_masks_on_the_test_suite_is_wrong(shared_data: Path, draft: str):
    constrains = 0
    for row in rows(shared_data / "json-schema-test-suite" / f"{draft}.jsonl"):
        schema, formats = row["schema"], row["file"].startswith("optional/format")
        if draft == "draft7" and isinstance(schema, dict):
            schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
        try:
            grammar = Grammar.from_json_schema(schema, formats=formats)
        except SofitError:
            continue
        if grammar.flaws:
            continue
        constrains += 1
        for test in row["tests"]:
            is_written = grammar.spelling(test["data"]) is not None
            assert is_written == test["valid"], (row["id"], test["description"])
            assert grammar.accepts(json.dumps(test["data"])) == test["valid"], (row["id"], test["description"])
    assert constrains > 90

"""JSON Schema as a grammar; `Grammar.from_json_schema` is the way in."""

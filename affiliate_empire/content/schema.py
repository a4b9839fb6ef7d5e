"""JSON schemas as a strict structured-output endpoint wants them, made from our own pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model with references inlined, every property required and no additional ones allowed.

    OpenAI's strict mode refuses an object that leaves either out; ``title`` keys are dropped because they cost tokens.
    """
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def strict(node: Any) -> Any:
        if isinstance(node, list):
            return [strict(item) for item in node]
        if not isinstance(node, dict):
            return node
        if reference := node.get("$ref"):
            return strict(definitions[str(reference).rsplit("/", 1)[-1]])
        kept = {key: strict(value) for key, value in node.items() if key not in ("title", "properties", "default")}
        if "properties" in node:
            kept["properties"] = {name: strict(value) for name, value in node["properties"].items()}
            kept["required"] = list(node["properties"])
            kept["additionalProperties"] = False
        return kept

    result: dict[str, Any] = strict(schema)
    return result

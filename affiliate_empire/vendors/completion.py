"""What the writers of documents have in common: what they are asked, what they answer, whichever vendor it is.

A vendor's client (``openai``, ``anthropic``) is a ``DocumentWriter``; which one writes is said by the model's vendor in
``policy/models.toml``. How a vendor is spoken to stands in its own module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class TokenUsage:
    """Tokens of one call. ``cached`` and ``cache_write`` are part of ``input``; ``reasoning`` is part of ``output``."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Completion:
    """A document that the model wrote: JSON as the schema asked, not yet judged by us."""

    document: dict[str, Any]
    usage: TokenUsage
    cost_micros: int
    request_id: str
    model: str


class DocumentWriter(Protocol):
    """A client whose models write documents."""

    def write_json(
        self,
        *,
        model: str,
        system: str,
        user: str,
        schema: dict[str, Any],
        schema_name: str,
        max_output_tokens: int,
    ) -> Completion:
        """Ask a model for one document that fits a strict JSON schema.

        ``max_output_tokens`` holds the reasoning too. Raises ``VendorRefused`` with ``cost_micros`` where tokens were
        made for nothing (a refusal, an answer that was cut off or is no JSON object), the other errors of
        ``vendors.errors`` otherwise.
        """
        ...


def read_document(text: str) -> dict[str, Any] | None:
    """The JSON object that a model's answer is; None when it is none, or cannot be written down.

    JSON may spell half characters and NUL; files and databases may not hold them.
    """
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    plain = json.dumps(document, ensure_ascii=False)
    return None if "\\u0000" in plain or any("\ud800" <= character <= "\udfff" for character in plain) else document

"""Fills a prompt version with one product's facts.

Facts come from merchants' feeds, so they are quoted as data: one line each, cut to length, and unable to add a
placeholder, a section or an instruction line of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.prompts.library import parse_template

FACT_CHARACTERS = 600  # one fact; a merchant's description is longer only when it is an essay

_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
_WHITE = re.compile(r"\s+")


@dataclass(frozen=True)
class RenderedPrompt:
    """What is sent: the system and the user message. ``sha256`` identifies both."""

    system: str
    user: str

    @property
    def sha256(self) -> str:
        return fingerprint([self.system, self.user])


def render(
    template: str,
    facts: Mapping[str, object],
    *,
    product: str,
    niche: str,
    problems: Sequence[str] = (),
) -> RenderedPrompt:
    """Fills a template's ``{{ facts }}``, ``{{ product }}`` and ``{{ niche }}``.

    ``facts`` are the piece's numbered facts (``F1`` → text). ``problems`` are what was wrong with the previous answer;
    they are appended as repairs, because sending the faulty answer back would make each attempt dearer than the last.

    Raises:
        Misconfigured: the template has a placeholder that nothing fills.
    """
    system, user = parse_template(template)
    values = {
        "facts": "\n".join(f"{key}: {_quoted(facts[key])}" for key in sorted(facts, key=_numeric)),
        "product": _quoted(product),
        "niche": _quoted(niche),
    }

    def fill(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError:
            raise Misconfigured(
                f"The prompt template asks for {{{{ {match[1]} }}}}; it may use {', '.join(sorted(values))}."
            ) from None

    user = _PLACEHOLDER.sub(fill, user)
    if problems:
        user += "\n\n## Repairs\nYour previous answer could not be used. Put this right:\n" + "\n".join(
            f"- {_quoted(problem)}" for problem in problems
        )
    return RenderedPrompt(_PLACEHOLDER.sub(fill, system), user)


def _quoted(value: object) -> str:
    """One line that holds no placeholder, heading or fence."""
    line = _WHITE.sub(" ", str(value)).strip().replace("{{", "{ {").replace("```", "'''")
    return line if len(line) <= FACT_CHARACTERS else line[: FACT_CHARACTERS - 1].rstrip() + "…"


def _numeric(key: str) -> tuple[int, str]:
    return len(key), key

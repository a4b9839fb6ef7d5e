"""The prompt library: ``<kind>/<name>@<version>.md``, read as data.

A file is a front matter between ``---`` lines (``parent``, ``summary``) and a template with the sections ``# System``
and ``# User``. This module reads; ``affiliate_empire.prompts.rendering`` fills.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from affiliate_empire.kernel.errors import Misconfigured

_KINDS = ("video", "post")
_FILE = re.compile(r"^(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)@(?P<number>[1-9]\d*)\.md$")
_FRONT_MATTER = re.compile(r"\A---\n(?P<head>.*?)\n---\n+(?P<body>.*)\Z", re.DOTALL)
_SECTIONS = re.compile(r"\A# System\n(?P<system>.*?)\n# User\n(?P<user>.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt version. ``template`` is the text that ``sha256`` (hex) identifies and that the ledger keeps."""

    prompt_version: str  # video/question-hook@1
    kind: str  # video | post
    template: str
    sha256: str
    parent: str | None
    summary: str

    @property
    def parts(self) -> tuple[str, str]:
        """System and user part of the template."""
        return parse_template(self.template)


def parse_template(template: str) -> tuple[str, str]:
    """Splits a template's text into its system and user part; raises ``Misconfigured`` when either is missing."""
    match = _SECTIONS.match(template)
    if match is None:
        raise Misconfigured("A prompt template needs a `# System` and a `# User` section, in this order.")
    return match["system"].strip(), match["user"].strip()


@cache
def load_library() -> tuple[PromptTemplate, ...]:
    """Every prompt version of this release, sorted by name.

    Raises:
        Misconfigured: a file of the library is misnamed, lacks a part, or names a parent that does not exist.
    """
    versions: list[PromptTemplate] = []
    for kind in _KINDS:
        for entry in sorted((files(__name__) / kind).iterdir(), key=lambda item: item.name):
            versions.append(_read(kind, entry.name, entry.read_text("utf-8")))
    known = {version.prompt_version for version in versions}
    for version in versions:
        if version.parent is not None and version.parent not in known:
            raise Misconfigured(f"{version.prompt_version} names the parent {version.parent}, which does not exist.")
    return tuple(versions)


def _read(kind: str, filename: str, text: str) -> PromptTemplate:
    name = _FILE.match(filename)
    parts = _FRONT_MATTER.match(text)
    if name is None or parts is None:
        raise Misconfigured(
            f"The prompt file {kind}/{filename} needs the name <name>@<number>.md and a front matter between --- lines."
        )
    head = dict(line.split(": ", 1) for line in parts["head"].splitlines() if ": " in line)
    template = parts["body"].strip() + "\n"
    parse_template(template)
    return PromptTemplate(
        prompt_version=f"{kind}/{name['name']}@{name['number']}",
        kind=kind,
        template=template,
        sha256=hashlib.sha256(template.encode()).hexdigest(),
        parent=None if head.get("parent", "none") == "none" else head["parent"],
        summary=head.get("summary", ""),
    )

"""Writing a video's script: from the piece's prompt version and facts to a script that may be spoken."""

from __future__ import annotations

from collections.abc import Mapping

from affiliate_empire.compliance import check_script
from affiliate_empire.content.script import Script, script_problems, script_texts
from affiliate_empire.effects import Effects
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.operations.artifacts import load_brief
from affiliate_empire.operations.write_document import write_document
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.completion import DocumentWriter
from affiliate_empire.vendors.openai import OpenAIClient


def make_script(
    piece_id: str,
    *,
    ledger: Ledger,
    effects: Effects,
    writers: Mapping[str, DocumentWriter],
    moderator: OpenAIClient,
    policy: Policy,
) -> Artifact:
    """The piece's script (step ``script``; ``content`` is a ``Script``). Paid once; what is there is returned.

    Which vendor's client of ``writers`` writes is said by ``policy/models.toml``.

    Raises:
        PieceRejected: no answer of the model was fit to be spoken.
    """
    brief = load_brief(piece_id, ledger)
    disclosure = policy.disclosure("spoken")

    def judge(script: Script) -> list[str]:
        problems = script_problems(script, disclosure, brief.facts) + check_script(script, brief.facts, policy)
        return list(dict.fromkeys(problems))

    return write_document(
        "script",
        brief,
        Script,
        judge,
        script_texts,
        ledger=ledger,
        effects=effects,
        writers=writers,
        moderator=moderator,
        policy=policy,
    )

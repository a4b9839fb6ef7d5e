"""Writing a blog post: from the piece's prompt version and facts to a post that may be published."""

from __future__ import annotations

from collections.abc import Mapping

from affiliate_empire.compliance import check_post
from affiliate_empire.content.post import Post, post_problems, post_texts
from affiliate_empire.effects import Effects
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.operations.artifacts import load_brief
from affiliate_empire.operations.write_document import write_document
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.completion import DocumentWriter
from affiliate_empire.vendors.openai import OpenAIClient


def make_post(
    piece_id: str,
    *,
    ledger: Ledger,
    effects: Effects,
    writers: Mapping[str, DocumentWriter],
    moderator: OpenAIClient,
    policy: Policy,
) -> Artifact:
    """The piece's post (step ``post``; ``content`` is a ``Post``). Paid once; what is there is returned.

    Which vendor's client of ``writers`` writes is said by ``policy/models.toml``.

    Raises:
        PieceRejected: no answer of the model was fit to be published.
    """
    brief = load_brief(piece_id, ledger)

    def judge(post: Post) -> list[str]:
        return list(dict.fromkeys(post_problems(post, brief.facts) + check_post(post, brief.facts, policy)))

    return write_document(
        "post",
        brief,
        Post,
        judge,
        post_texts,
        ledger=ledger,
        effects=effects,
        writers=writers,
        moderator=moderator,
        policy=policy,
    )

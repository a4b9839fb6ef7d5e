"""Writing a blog post: from the piece's prompt version and facts to a post that may be published."""

from __future__ import annotations

from affiliate_empire.compliance import check_post
from affiliate_empire.content.post import Post, post_problems
from affiliate_empire.effects import Effects
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.operations.artifacts import load_brief
from affiliate_empire.operations.write_document import write_document
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.openai import OpenAIClient


def make_post(piece_id: str, *, ledger: Ledger, effects: Effects, openai: OpenAIClient, policy: Policy) -> Artifact:
    """The piece's post (step ``post``; ``content`` is a ``Post``). Paid once; what is there is returned.

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
        model=policy.model("post", brief.day),
        ledger=ledger,
        effects=effects,
        openai=openai,
        policy=policy,
    )

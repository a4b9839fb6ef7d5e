"""Asking a model for a document until it may be used, at most three times.

What the scripts and the posts share, whichever vendor's model writes. The second answer is told what was wrong with the
first; an answer that was cut off, declined or unreadable is asked for again with room for twice as many tokens. Every
answer is a paid step of its own, found again by its inputs, so that a rerun comes to the same document and pays
nothing. A document without a fault is shown to the moderation before it is kept; what that flags is written anew once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from affiliate_empire.content.schema import strict_schema
from affiliate_empire.effects import Effects, Receipt
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.ids import canonical_json, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.operations.artifacts import Brief, load_artifact, pay, reusable, save_artifact
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.prompts import RenderedPrompt, render
from affiliate_empire.vendors.completion import DocumentWriter
from affiliate_empire.vendors.openai import OpenAIClient

ANSWERS = 3
# The first answer's room; the plan's bound for a piece counts with twice as much for every answer.
_OUTPUT_TOKENS = 2000

Document = TypeVar("Document", bound=BaseModel)


def write_document(
    step: str,
    brief: Brief,
    form: type[Document],
    judge: Callable[[Document], list[str]],
    public: Callable[[Document], Sequence[str]],
    *,
    ledger: Ledger,
    effects: Effects,
    writers: Mapping[str, DocumentWriter],
    moderator: OpenAIClient,
    policy: Policy,
) -> Artifact:
    """The artifact of ``step``: a document of ``form`` with which neither ``judge`` nor the moderation finds a problem.

    Args:
        step: the role in ``policy/models.toml`` whose model writes: ``script`` or ``post``.
        brief: the piece, and what its writer is given.
        form: what the document has to be.
        judge: what is wrong with a document, as sentences that also tell the model what to repair.
        public: the texts of a document that people will hear or read.
        ledger: where the artifact is kept.
        effects: what is paid through.
        writers: the clients by vendor; the model's vendor says which one writes.
        moderator: whose moderation is asked. It charges nothing; a rerun asks it again.
        policy: models and prices.

    Raises:
        PieceRejected: no answer could be used; says why the last one could not.
        EffectError, VendorError: nothing about this piece.
        Misconfigured: nobody can ask the vendor of the chosen model.
    """
    piece = brief.piece
    model = policy.model(step, brief.day)
    vendor = policy.vendor_of(model)
    if vendor not in writers:
        raise Misconfigured(
            f"{model} ({step}) is a model of {vendor}, and texts are written by {', '.join(sorted(writers))}: choose "
            "another in policy/models.toml."
        )
    schema = strict_schema(form)
    first = _prompt(brief, [])
    inputs = fingerprint([model, first.sha256, schema])
    if reusable(kept := load_artifact(piece.piece_id, step, ledger), inputs) and kept is not None:
        return kept
    problems: list[str] = []
    room = _OUTPUT_TOKENS
    flagged_before = False
    for answer in range(1, ANSWERS + 1):
        prompt = _prompt(brief, problems)
        try:
            receipt = _ask(
                step, brief, prompt, schema, form.__name__, model, room, answer, effects, writers[vendor], policy
            )
        except PieceRejected as rejected:
            if answer == ANSWERS:
                raise
            problems, room = [], 2 * _OUTPUT_TOKENS
            reason = str(rejected)
            continue
        try:
            document = form.model_validate(receipt.result["document"])
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in error.errors()]
        else:
            problems = judge(document)
            if not problems:
                problems = _flagged(public(document), moderator, policy.model("moderation", brief.day))
                if problems and flagged_before:
                    raise PieceRejected(f"The model's text was flagged again after a repair: {problems[0]}")
                flagged_before = flagged_before or bool(problems)
            if not problems:
                return save_artifact(
                    ledger,
                    piece_id=piece.piece_id,
                    step=step,
                    inputs_sha256=inputs,
                    content=document.model_dump(),
                    effect_id=receipt.effect_id,
                )
        reason = " ".join(problems)
    raise PieceRejected(f"The model's {ANSWERS} answers could not be used; the last one: {reason}")


def _flagged(texts: Sequence[str], moderator: OpenAIClient, model: str) -> list[str]:
    """What the moderation objects to, as a sentence for the model; empty when it lets all texts pass."""
    verdicts = moderator.moderate(texts, model=model)
    categories = sorted({category for verdict in verdicts for category in verdict.categories})
    if not any(verdict.flagged for verdict in verdicts):
        return []
    named = ", ".join(categories) or "an unnamed category"
    return [f"The moderation flagged the text for {named}: write it so that nothing in it can be read that way."]


def _prompt(brief: Brief, problems: list[str]) -> RenderedPrompt:
    return render(brief.template, brief.facts, product=brief.product, niche=brief.piece.niche, problems=problems)


def _ask(
    step: str,
    brief: Brief,
    prompt: RenderedPrompt,
    schema: dict[str, Any],
    name: str,
    model: str,
    room: int,
    answer: int,
    effects: Effects,
    writer: DocumentWriter,
    policy: Policy,
) -> Receipt:
    """One answer, paid for once."""

    def call() -> Receipt:
        completion = writer.write_json(
            model=model,
            system=prompt.system,
            user=prompt.user,
            schema=schema,
            schema_name=name,
            max_output_tokens=room,
        )
        return Receipt(
            remote_id=completion.request_id,
            cost_micros=completion.cost_micros,
            result={
                "document": completion.document,
                "model": completion.model,
                "input_tokens": completion.usage.input,
                "output_tokens": completion.usage.output,
            },
        )

    characters = len(prompt.system) + len(prompt.user) + len(canonical_json(schema))
    return pay(
        step,
        brief,
        call,
        effects=effects,
        policy=policy,
        vendor=policy.vendor_of(model),
        operation=f"write_{step}",
        inputs=[model, prompt.sha256, schema, room, answer],
        max_cost_micros=policy.llm_max_cost_micros(model, input_chars=characters, max_output_tokens=room),
    )

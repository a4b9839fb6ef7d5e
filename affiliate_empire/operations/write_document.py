"""Asking a model for a document until it may be used, at most three times.

What the scripts and the posts share. The second answer is told what was wrong with the first; an answer that was cut
off, declined or unreadable is asked for again with room for twice as many tokens. Every answer is a paid step of its
own, found again by its inputs, so that a rerun comes to the same document and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from affiliate_empire.content.schema import strict_schema
from affiliate_empire.effects import Effects, Receipt
from affiliate_empire.kernel.ids import canonical_json, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.operations.artifacts import Brief, load_artifact, pay, reusable, save_artifact
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.prompts import RenderedPrompt, render
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
    *,
    model: str,
    ledger: Ledger,
    effects: Effects,
    openai: OpenAIClient,
    policy: Policy,
) -> Artifact:
    """The artifact of ``step``: a document of ``form`` with which ``judge`` finds no problem.

    Raises:
        PieceRejected: no answer could be used; says why the last one could not.
        EffectError, VendorError: nothing about this piece.
    """
    piece = brief.piece
    schema = strict_schema(form)
    first = _prompt(brief, [])
    inputs = fingerprint([model, first.sha256, schema])
    if reusable(kept := load_artifact(piece.piece_id, step, ledger), inputs) and kept is not None:
        return kept
    problems: list[str] = []
    room = _OUTPUT_TOKENS
    for answer in range(1, ANSWERS + 1):
        prompt = _prompt(brief, problems)
        try:
            receipt = _ask(step, brief, prompt, schema, form.__name__, model, room, answer, effects, openai, policy)
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
    openai: OpenAIClient,
    policy: Policy,
) -> Receipt:
    """One answer, paid for once."""

    def call() -> Receipt:
        completion = openai.write_json(
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
        vendor="openai",
        operation=f"write_{step}",
        inputs=[model, prompt.sha256, schema, room, answer],
        max_cost_micros=policy.llm_max_cost_micros(model, input_chars=characters, max_output_tokens=room),
    )

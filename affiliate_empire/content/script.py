"""A vertical video's script: what is said, what each scene shows, which facts it leans on.

The spoken disclosure is put in by ``passages``, right after the hook; no model is trusted with it. Lengths are judged
in words, because they are judged before anything is spoken; the finished file's seconds are judged by
``affiliate_empire.media``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from affiliate_empire.content.schema import strict_schema

# At 2.5 to 2.9 spoken words a second these come to 24–41 s, inside every platform's short format.
SPOKEN_WORDS = (71, 104)
SCENES = (4, 5)
TITLE_CHARACTERS = 90  # YouTube allows 100; the publish step may add to it

_SPACE = re.compile(r"\s+")
# Speech engines read these out or stumble over them.
_UNSPEAKABLE = re.compile(r"[*_#<>{}\[\]|\\^~`]|https?://|www\.", re.IGNORECASE)
_FACT_ID = re.compile(r"^F[1-9]\d*$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scene(_Strict):
    """One picture and the sentence or two spoken over it."""

    narration: str = Field(description="What is spoken over this scene: plain sentences, no markup, no scene numbers.")
    visual: str = Field(description="What the still picture shows. No text, no logos, no people.")
    fact_ids: list[str] = Field(description="Ids of the facts that the narration relies on, such as F2.")


class Script(_Strict):
    """A script as the model returned it, with white space made regular."""

    title: str = Field(description="Title of the video, at most 90 characters.")
    hook: str = Field(description="The first spoken sentence.")
    scenes: list[Scene] = Field(description="Four or five scenes in order.")
    description: str = Field(description="Two plain sentences for the description below the video.")
    hashtags: list[str] = Field(description="Three to five hashtags without the # sign.")

    @field_validator("title", "hook", "description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return _SPACE.sub(" ", text).strip()

    @field_validator("hashtags")
    @classmethod
    def _plain_hashtags(cls, tags: list[str]) -> list[str]:
        plain = [re.sub(r"\W", "", tag).lower() for tag in tags]
        return [tag for tag in dict.fromkeys(plain) if tag]


@dataclass(frozen=True)
class Passage:
    """A stretch of the spoken text: ``text == spoken_text(...)[start:end]``, shown over scene number ``scene``."""

    kind: Literal["hook", "disclosure", "narration"]
    text: str
    start: int
    end: int
    scene: int


def script_schema() -> dict[str, Any]:
    """The strict JSON schema a model fills to write a script."""
    return strict_schema(Script)


def passages(script: Script, disclosure: str) -> list[Passage]:
    """What is spoken, in order: hook, disclosure, then each scene; the first scene is shown during the first three."""
    spoken: list[tuple[Literal["hook", "disclosure", "narration"], str, int]] = [
        ("hook", script.hook, 0),
        ("disclosure", disclosure, 0),
        *(("narration", scene.narration, number) for number, scene in enumerate(script.scenes)),
    ]
    result: list[Passage] = []
    at = 0
    for kind, raw, scene in spoken:
        text = _sentence(raw)
        result.append(Passage(kind, text, at, at + len(text), scene))
        at += len(text) + 1
    return result


def spoken_text(script: Script, disclosure: str) -> str:
    """The whole text handed to the voice, the disclosure right after the hook."""
    return " ".join(passage.text for passage in passages(script, disclosure))


def scene_narrations(script: Script, disclosure: str) -> list[str]:
    """What is heard over each scene, in order; joined by spaces they are ``spoken_text``."""
    heard: list[list[str]] = [[] for _ in script.scenes]
    for passage in passages(script, disclosure):
        heard[passage.scene].append(passage.text)
    return [" ".join(texts) for texts in heard]


def script_problems(script: Script, disclosure: str, facts: Collection[str]) -> list[str]:
    """Why a script cannot be made into a video, as sentences that also tell a model what to repair; empty when fit.

    Form only: whether its claims may be made is for ``affiliate_empire.compliance``. ``facts`` are the ids that exist.
    """
    problems: list[str] = []
    fewest, most = SCENES
    if not fewest <= len(script.scenes) <= most:
        problems.append(f"The script has {len(script.scenes)} scenes; it needs {fewest} to {most}.")
    if not script.hook or any(not scene.narration.strip() for scene in script.scenes):
        problems.append("The hook and every narration must say something.")
    if any(not scene.visual.strip() for scene in script.scenes):
        problems.append("Every scene needs a visual.")
    if not script.title or len(script.title) > TITLE_CHARACTERS:
        problems.append(f"The title has {len(script.title)} characters; it needs 1 to {TITLE_CHARACTERS}.")
    words = len(spoken_text(script, disclosure).split())
    shortest, longest = SPOKEN_WORDS
    if not shortest <= words <= longest:
        own = len(_sentence(disclosure).split())
        problems.append(
            f"Hook and narrations have {words - own} words together; they need {shortest - own} to {longest - own}."
        )
    spoken = " ".join([script.hook, *(scene.narration for scene in script.scenes)])
    if found := sorted(set(_UNSPEAKABLE.findall(spoken))):
        problems.append(f"Spoken text must be plain words; it holds {' '.join(found)}.")
    cited = [fact for scene in script.scenes for fact in scene.fact_ids]
    if unknown := sorted({fact for fact in cited if not _FACT_ID.match(fact) or fact not in facts}):
        problems.append(f"These facts do not exist: {', '.join(unknown)}.")
    if not cited:
        problems.append("No scene names the facts it relies on.")
    return problems


def script_texts(script: Script) -> list[str]:
    """Everything of a script that people hear, and everything of it that they read beside the video."""
    spoken = " ".join([script.hook, *(scene.narration for scene in script.scenes)])
    return [spoken, "\n".join([script.title, script.description, *script.hashtags])]


def still_prompt(scene: Scene, product: str) -> str:
    """The instruction for a scene's picture. Text is kept out of the picture: captions and labels are drawn by us."""
    return (
        f"Vertical 9:16 product illustration for a short video about {_clean(product)}. {_clean(scene.visual)} "
        "Soft studio light, clean background, room above and below the subject. "
        "No text, no letters, no logos, no people, no watermark."
    )


def clip_prompt(scene: Scene, product: str) -> str:
    """The instruction for setting a scene's still in motion: the camera moves, the thing stays what it is."""
    return (
        f"Slow, steady camera move around {_clean(product)}, which keeps its exact shape and colours. "
        f"{_clean(scene.visual)} Light drifts gently over the scene. No text, no logos, no people, no cuts."
    )


def thumbnail_prompt(script: Script, product: str) -> str:
    """The instruction for the thumbnail's picture; its headline is drawn by ``affiliate_empire.media.thumbnail``."""
    return (
        f"Vertical 9:16 hero illustration of {_clean(product)}, one subject, bold colours, strong contrast, "
        f"the lower third calm and dark enough for a headline. Mood of the line: {_clean(script.hook)} "
        f"The subject looks as in this picture: {_clean(script.scenes[0].visual)}. "
        "No text, no letters, no logos, no people, no watermark."
    )


def facts_as_lines(facts: Mapping[str, str]) -> list[str]:
    """``F1: …`` lines in numeric order, each on one line whatever the merchant wrote."""
    return [f"{key}: {_clean(facts[key])}" for key in sorted(facts, key=lambda k: (len(k), k))]


def _sentence(text: str) -> str:
    """One line that ends like a sentence, so that the voice pauses after it."""
    line = _clean(text)
    return line if not line or line[-1] in ".!?…" else f"{line}."


def _clean(text: str) -> str:
    return _SPACE.sub(" ", text).strip()

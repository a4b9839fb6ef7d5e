"""Content: what is written, spoken, drawn and rendered for the pieces of a plan. Each piece is paid for once."""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from affiliate_empire.content.frames import Artifacts, Texts
from affiliate_empire.effects import Effects
from affiliate_empire.ledger import Ledger
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import load_part
from affiliate_empire.operations.audit_day import texts_looked_at, uncited_claims
from affiliate_empire.operations.export_artifacts import footage
from affiliate_empire.operations.export_prompt_version import export_prompt_version
from affiliate_empire.operations.keep_room import Purse
from affiliate_empire.operations.make_clips import make_clips
from affiliate_empire.operations.make_post import make_post
from affiliate_empire.operations.make_script import make_script
from affiliate_empire.operations.make_stills import make_stills
from affiliate_empire.operations.make_thumbnail import make_thumbnail
from affiliate_empire.operations.make_voiceover import make_voiceover
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.render_video import render_video
from affiliate_empire.policy import Policy
from affiliate_empire.prompts.frames import PromptVersions
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.clips import ClipClient
from affiliate_empire.vendors.completion import DocumentWriter
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.fal import FalClient
from affiliate_empire.vendors.openai import OpenAIClient
from affiliate_empire.vendors.runway import RunwayClient
from assets.checks import claim_holds, day_of
from assets.partitions import day, prompt_version
from assets.pictures import first_words, gallery
from assets.steps import failing_clearly, pieces_made, worked
from resources.lake import Frames, to_dagster_type

# How many pieces a vendor is asked for at once. Rendering takes a processor each.
_OPENAI_AT_ONCE = 4
_ELEVENLABS_AT_ONCE = 2
_RENDERS_AT_ONCE = 2


def _writers(anthropic: AnthropicClient, openai: OpenAIClient) -> dict[str, DocumentWriter]:
    """Who can write, by vendor; policy/models.toml says whose model does."""
    return {"anthropic": anthropic, "openai": openai}


def _purse(effects: Effects, policy: Policy, settings: Settings) -> Purse:
    """What the pieces of a day may cost together."""
    clips, providers = settings.clips_per_video, settings.clip_providers
    return Purse(effects.ledger, effects.clock, effects.caps, policy, clips, providers)


_PLAN = dg.AssetDep("content_plan")
_PROMPTS = dg.AssetDep("prompt_versions", partition_mapping=dg.AllPartitionMapping())


@dg.asset(
    partitions_def=prompt_version,
    group_name="content",
    kinds={"python", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(PromptVersions),
)
def prompt_versions(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]) -> dg.Output[Frames]:
    """Prompt versions: template, hash, parent and status. One row per version.

    Recorded when the library gets a new one, and never changed. Free.
    """
    with failing_clearly():
        prepare_ledger(ledger=ledger)
        frames = {key: export_prompt_version(key, ledger=ledger) for key in context.partition_keys}
    texts = "\n\n".join(str(frame["template"].iloc[0]) for frame in frames.values())
    return dg.Output(frames, metadata={"template": dg.MetadataValue.md(texts)})


@dg.asset(
    partitions_def=day,
    deps=[_PLAN, _PROMPTS],
    group_name="content",
    kinds={"openai", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    pool="openai",
    dagster_type=to_dagster_type(Texts),
    check_specs=[pieces_made("scripts")],
)
def scripts(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    anthropic: dg.ResourceParam[AnthropicClient],
    openai: dg.ResourceParam[OpenAIClient],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Video scripts with the product facts they cite. One row per video piece.

    Written when the day is planned and kept, once the moderation let them pass: a rerun pays for nothing that is there.
    About $0.0024 each, at the prices of policy/prices.toml.
    """

    writers = _writers(anthropic, openai)

    def write(piece_id: str) -> object:
        return make_script(piece_id, ledger=ledger, effects=effects, writers=writers, moderator=openai, policy=policy)

    yield from worked(
        context,
        write,
        kind="video",
        step="script",
        ledger=ledger,
        at_once=_OPENAI_AT_ONCE,
        purse=_purse(effects, policy, settings),
        describe=lambda frames: {"first_words": first_words(frames)},
    )


@dg.asset(
    partitions_def=day,
    deps=[_PLAN, _PROMPTS],
    group_name="content",
    kinds={"anthropic", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    pool="anthropic",
    dagster_type=to_dagster_type(Texts),
    check_specs=[pieces_made("blog_posts")],
)
def blog_posts(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    anthropic: dg.ResourceParam[AnthropicClient],
    openai: dg.ResourceParam[OpenAIClient],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Blog posts with the product facts they cite. One row per post piece.

    Written when the day is planned and kept, once the moderation let them pass: a rerun pays for nothing that is there.
    About $0.0075 each, at the prices of policy/prices.toml.
    """

    writers = _writers(anthropic, openai)

    def write(piece_id: str) -> object:
        return make_post(piece_id, ledger=ledger, effects=effects, writers=writers, moderator=openai, policy=policy)

    yield from worked(
        context,
        write,
        kind="post",
        step="post",
        ledger=ledger,
        at_once=_OPENAI_AT_ONCE,
        purse=_purse(effects, policy, settings),
        describe=lambda frames: {"first_words": first_words(frames)},
    )


@dg.asset(
    partitions_def=day,
    deps=["scripts"],
    group_name="content",
    kinds={"elevenlabs", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    pool="elevenlabs",
    dagster_type=to_dagster_type(Artifacts),
    check_specs=[pieces_made("voiceovers")],
)
def voiceovers(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    elevenlabs: dg.ResourceParam[ElevenLabsClient],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Spoken scripts with the time of every character. One row per video piece.

    Spoken when the script is written and kept until it changes. About $0.033 each, at the prices of policy/prices.toml.
    """

    def speak(piece_id: str) -> object:
        return make_voiceover(
            piece_id, ledger=ledger, effects=effects, elevenlabs=elevenlabs, media=media, policy=policy
        )

    yield from worked(
        context,
        speak,
        kind="video",
        step="voiceover",
        ledger=ledger,
        at_once=_ELEVENLABS_AT_ONCE,
        purse=_purse(effects, policy, settings),
    )


@dg.asset(
    partitions_def=day,
    deps=["scripts"],
    group_name="content",
    kinds={"openai", "pika", "runway"},
    owners=["team:content"],
    io_manager_key="lake",
    pool="openai",
    dagster_type=to_dagster_type(Artifacts),
    check_specs=[pieces_made("video_clips")],
)
def video_clips(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    openai: dg.ResourceParam[OpenAIClient],
    fal: dg.ResourceParam[FalClient],
    runway: dg.ResourceParam[RunwayClient],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """The pictures of every scene: a still, and for the first EMPIRE_CLIPS_PER_VIDEO scenes a clip filmed from it.

    One row per still and clip. Made when the script is written and kept until it changes. A still is about $0.005, a
    clip $0.20 by Pika or $0.25 by Runway (EMPIRE_CLIP_PROVIDER), at the prices of policy/prices.toml. Where the chosen
    provider will not make a clip, the other one does if it has a key; the metadata then names both.
    """
    clients: dict[str, ClipClient] = {"pika": fal, "runway": runway}
    providers = {name: clients[name] for name in settings.clip_providers}

    def draw(piece_id: str) -> object:
        made = make_stills(piece_id, ledger=ledger, effects=effects, openai=openai, media=media, policy=policy)
        return made + make_clips(
            piece_id,
            count=settings.clips_per_video,
            providers=providers,
            ledger=ledger,
            effects=effects,
            media=media,
            policy=policy,
        )

    yield from worked(
        context,
        draw,
        kind="video",
        step=("still", "clip"),
        ledger=ledger,
        at_once=_OPENAI_AT_ONCE,
        purse=_purse(effects, policy, settings),
        describe=lambda frames: _footage(frames) | {"stills_and_clips": gallery(frames, media)},
    )


def _footage(frames: Iterable[pd.DataFrame]) -> dict[str, Any]:
    made_by, stood_in = footage(frames)
    return {
        "clips": dg.MetadataValue.json(made_by),
        "stood_in": len(stood_in),
        **({"stood_in_clips": dg.MetadataValue.json(stood_in)} if stood_in else {}),
    }


@dg.asset(
    partitions_def=day,
    deps=["scripts"],
    group_name="content",
    kinds={"openai", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    pool="openai",
    dagster_type=to_dagster_type(Artifacts),
    check_specs=[pieces_made("thumbnails")],
)
def thumbnails(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    openai: dg.ResourceParam[OpenAIClient],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Thumbnails with their headline. One row per video piece.

    Drawn when the script is written and kept until it changes. About $0.005 each, at the prices of policy/prices.toml.
    """

    def draw(piece_id: str) -> object:
        return make_thumbnail(piece_id, ledger=ledger, effects=effects, openai=openai, media=media, policy=policy)

    yield from worked(
        context,
        draw,
        kind="video",
        step="thumbnail",
        ledger=ledger,
        at_once=_OPENAI_AT_ONCE,
        purse=_purse(effects, policy, settings),
        describe=lambda frames: {"thumbnails": gallery(frames, media)},
    )


@dg.asset(
    partitions_def=day,
    deps=["voiceovers", "video_clips", "thumbnails"],
    group_name="content",
    kinds={"ffmpeg", "parquet"},
    owners=["team:content"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(Artifacts),
    check_specs=[pieces_made("videos")],
)
def videos(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Finished 9:16 videos that passed quality control. One row per video piece.

    Rendered when their parts are there, clips and thumbnail included, and kept until one of them changes. Free but for
    the processor's time.
    """

    def render(piece_id: str) -> object:
        load_part(piece_id, "thumbnail", ledger, made_by="thumbnails")  # what is rendered goes out, and not without it
        return render_video(
            piece_id,
            ledger=ledger,
            media=media,
            profile=settings.render_profile.value,
            policy=policy,
            clips=settings.clips_per_video,
        )

    yield from worked(
        context,
        render,
        kind="video",
        step="video",
        ledger=ledger,
        at_once=_RENDERS_AT_ONCE,
        describe=lambda frames: {"a_frame_of_each": gallery(frames, media)},
    )


@dg.asset_check(asset=scripts, blocking=True, name="facts_cited")
def scripts_cite_facts(
    context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], policy: dg.ResourceParam[Policy]
) -> dg.AssetCheckResult:
    """No script says of a product what no cited fact says."""
    return _facts_are_cited(context, "video", ledger, policy)


@dg.asset_check(asset=blog_posts, blocking=True, name="facts_cited")
def blog_posts_cite_facts(
    context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], policy: dg.ResourceParam[Policy]
) -> dg.AssetCheckResult:
    """No post says of a product what no cited fact says."""
    return _facts_are_cited(context, "post", ledger, policy)


def _facts_are_cited(
    context: dg.AssetCheckExecutionContext, kind: str, ledger: Ledger, policy: Policy
) -> dg.AssetCheckResult:
    each, _ = day_of(context)
    return claim_holds(
        uncited_claims(each, kind, ledger=ledger, policy=policy),
        looked_at=texts_looked_at(each, kind, ledger=ledger),
        remedy="Nothing is made of this day until it holds: mend the prompt version's rules, and have the day planned "
        "anew.",
    )

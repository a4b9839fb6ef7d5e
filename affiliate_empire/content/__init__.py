"""What a piece says: the models of a video script and of a blog post, and how they are spoken and typeset.

Pure: it neither asks a model for text (``affiliate_empire.vendors``), nor judges claims
(``affiliate_empire.compliance``), nor renders pictures (``affiliate_empire.media``).
"""

from affiliate_empire.content.post import Post, Section, post_problems, post_schema, post_texts, render_mdx, slug
from affiliate_empire.content.script import (
    Passage,
    Scene,
    Script,
    facts_as_lines,
    passages,
    scene_narrations,
    script_problems,
    script_schema,
    script_texts,
    spoken_text,
    still_prompt,
    thumbnail_prompt,
)

__all__ = [
    "Passage",
    "Post",
    "Scene",
    "Script",
    "Section",
    "facts_as_lines",
    "passages",
    "post_problems",
    "post_schema",
    "post_texts",
    "render_mdx",
    "scene_narrations",
    "script_problems",
    "script_schema",
    "script_texts",
    "slug",
    "spoken_text",
    "still_prompt",
    "thumbnail_prompt",
]

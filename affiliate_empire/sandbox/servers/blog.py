"""The blog's host: a bare git repository that anyone with the path may push to, and the site built from its ``main``.

A post is a file ``content/posts/<slug>.mdx``. It is public from the moment the world notices the commit (before the
next step of time, and on every look at the blog or the witness); an edited file edits the post, a deleted one takes it
down. Pages are shown as the site that ships with the product shows them, and as strictly built: one post that does not
compile fails the build of the whole commit, and what was deployed before stays.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

PLATFORM = "blog"
_POSTS = re.compile(r"^content/posts/(?P<slug>[^/]+)\.mdx?$")
_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?\n", re.DOTALL)
_BULLET = re.compile(r"^([-*]|\d+\.)\s+")
_CODE = re.compile(r"[{}]|^(?:import|export)\b", re.MULTILINE)
# The site's components, alone or with their text on one line; anything else with a "<" does not compile.
_COMPONENT = re.compile(
    r"<(?:(?P<name>Disclosure|AiStatement)|AffiliateLink href=\"(?P<href>https?://[^\s\"<>{}\\]+)\")>"
    r"(?P<text>[^<]*)</(?:Disclosure|AiStatement|AffiliateLink)>"
)
_FACTS = re.compile(r'<Facts checked="(?P<checked>\d{4}-\d\d-\d\d)">')
_FIELDS = ("title", "description", "date", "slug", "tags", "disclosure")
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main><article><h1>{title}</h1>
{body}
</article></main></body></html>
"""
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


class BuildFailed(Exception):
    """A post does not compile; the message says which and why."""


def routes(world: World) -> list[BaseRoute]:
    """``/blog/`` lists the posts, ``/blog/posts/{slug}`` is one; ``sitemap.xml`` and ``feed.xml`` tell of all."""
    _open_repository(repository(world))

    def public() -> list[tuple[str, str]]:
        notice(world)
        rows = world.store.query(
            "SELECT remote_id, title FROM posts WHERE platform = ? AND removed_at IS NULL ORDER BY sequence",
            (PLATFORM,),
        )
        return [
            (html.escape(f"{world.base_url}/blog/posts/{row['remote_id']}"), html.escape(row["title"])) for row in rows
        ]

    async def index(request: Request) -> Response:
        items = "".join(f'<li><a href="{url}">{title}</a></li>' for url, title in public())
        return HTMLResponse(_PAGE.format(title="Blog", body=f"<ul>{items}</ul>"))

    async def sitemap(request: Request) -> Response:
        urls = "".join(f"<url><loc>{url}</loc></url>" for url, _ in public())
        text = f'{_XML}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
        return Response(text, media_type="application/xml")

    async def feed(request: Request) -> Response:
        items = "".join(f"<item><title>{title}</title><link>{url}</link></item>" for url, title in public())
        head = f"<title>Blog</title><link>{world.base_url}/blog/</link><description>Posts</description>"
        text = f'{_XML}<rss version="2.0"><channel>{head}{items}</channel></rss>'
        return Response(text, media_type="application/rss+xml")

    async def post(request: Request) -> Response:
        notice(world)
        row = world.store.one(
            "SELECT title, text FROM posts WHERE platform = ? AND remote_id = ? AND removed_at IS NULL",
            (PLATFORM, request.path_params["slug"]),
        )
        if row is None:
            return PlainTextResponse("No such post.", status_code=404)
        return HTMLResponse(_PAGE.format(title=html.escape(row["title"]), body=as_html(row["text"])))

    return [
        Route("/blog", index),
        Route("/blog/", index),
        Route("/blog/sitemap.xml", sitemap),
        Route("/blog/feed.xml", feed),
        Route("/blog/posts/{slug}", post),
    ]


def repository(world: World) -> Path:
    """The bare repository that the blog is pushed to."""
    return world.folder / "blog.git"


def notice(world: World) -> None:
    """Read ``main`` when it has moved since the last look, and take what changed to the readers."""
    head = _head(repository(world))
    if head is None or head == world.store.fact("blog.head"):
        return
    live: dict[str, str] = {}
    for path in _git(repository(world), "ls-tree", "-r", "--name-only", "-z", head, "content/posts").split("\0"):
        found = _POSTS.match(path)
        if found:
            live[found["slug"]] = _git(repository(world), "show", f"{head}:{path}")
            try:
                compiled(live[found["slug"]], found["slug"])
            except BuildFailed as error:
                with world.store.transaction():
                    world.store.save_fact("blog.head", head)
                    world.store.save_fact("blog.build", f"{path}: {error}")
                return
    known = {
        row["remote_id"]: row
        for row in world.store.query("SELECT remote_id, removed_at FROM posts WHERE platform = ?", (PLATFORM,))
    }
    with world.store.transaction():
        for slug, source in live.items():
            front, text = compiled(source, slug)
            world.keep_request(PLATFORM, slug, {"commit": head, "body": source})
            world.accept_post(
                PLATFORM,
                front.get("account", PLATFORM),
                slug,
                title=front.get("title", slug),
                text=text,
                media={},
                public_at=world.now(),
                flags={**{key: value for key, value in front.items() if key != "title"}, "commit": head},
                handle=slug,
            )
        for slug, row in known.items():
            if slug not in live and row["removed_at"] is None:
                world.retract_post(PLATFORM, slug)
        world.store.save_fact("blog.head", head)
        world.store.save_fact("blog.build", "ok")


def compiled(source: str, slug: str) -> tuple[dict[str, str], str]:
    """A post's front matter and its text, when the site would build it.

    Raises:
        BuildFailed: it would not.
    """
    front, text = front_matter(source)
    if list(front) != list(_FIELDS) or front["slug"] != slug:
        raise BuildFailed("its front matter is not what the site reads, or its slug is not its name")
    as_html(text)
    if not text.strip().startswith("<Disclosure>") or "<AiStatement>" not in text:
        raise BuildFailed("it does not disclose first, or does not say that it was written with AI")
    return front, text


def front_matter(source: str) -> tuple[dict[str, str], str]:
    """Split a file into its front matter (flat ``key: value`` lines) and its text."""
    found = _FRONT.match(source)
    if found is None:
        return {}, source
    front = {}
    for line in found[1].splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "-", "\t")):
            front[key.strip()] = _unquoted(value.strip())
    return front, source[found.end() :]


def as_html(text: str) -> str:
    """A post as a browser shows it, built by the site's components.

    Raises:
        BuildFailed: something in it would run, or is none of the site's components.
    """
    if _CODE.search(text):
        raise BuildFailed("an expression, or a line that begins with import or export, would run")
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        heading = re.match(r"(#{2,3})\s+(.*)", lines[0])
        component, facts = _COMPONENT.fullmatch(block), _FACTS.fullmatch(block)
        if component and component["name"]:
            blocks.append(f"<aside>{_inline(component['text'])}</aside>")
        elif component:
            href = html.escape(html.unescape(component["href"]))
            link = f'<a href="{href}" rel="sponsored nofollow" referrerpolicy="origin">{_inline(component["text"])}</a>'
            blocks.append(f"<p>{link} <small>Affiliate link</small></p>")
        elif facts:
            blocks.append(f"<section><h2>What this is based on</h2><p>As of {facts['checked']}.</p>")
        elif block == "</Facts>":
            blocks.append("</section>")
        elif "<" in block:
            raise BuildFailed(f"there is no component for {block[:80]!r}")
        elif heading and len(lines) == 1:
            blocks.append(f"<h{len(heading[1])}>{_inline(heading[2])}</h{len(heading[1])}>")
        elif all(_BULLET.match(line) for line in lines):
            items = "".join(f"<li>{_inline(_BULLET.sub('', line))}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _inline(text: str) -> str:
    bold = re.sub(r"\*\*(.+?)\*\*", "\0\\1\1", text)
    shown = html.escape(html.unescape(bold), quote=False)
    return shown.replace("\0", "<strong>").replace("\1", "</strong>")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value, strict=False))  # a double-quoted YAML scalar, as JSON writes it too
        except ValueError:
            return value[1:-1]  # escapes that only YAML knows
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    return value


def _open_repository(path: Path) -> None:
    if not (path / "HEAD").exists():
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)


def _head(path: Path) -> str | None:
    # Read as git keeps it: starting a git process for every step of time would cost more than the step.
    loose = path / "refs" / "heads" / "main"
    if loose.exists():
        return loose.read_text(encoding="ascii").strip() or None
    packed = path / "packed-refs"
    if packed.exists():
        for line in packed.read_text(encoding="utf-8").splitlines():
            if line.endswith(" refs/heads/main"):
                return line.split(" ", 1)[0]
    return None


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "--git-dir", str(path), *arguments], check=True, capture_output=True)
    return done.stdout.decode("utf-8", errors="replace")

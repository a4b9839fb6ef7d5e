"""The blog's host: a bare git repository that anyone with the path may push to, and the pages built from its ``main``.

A post is a file ``content/posts/<slug>.mdx``. It is public from the moment the world notices the commit (before the
next step of time, and on every look at the blog or the witness); an edited file edits the post, a deleted one takes it
down.
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
_BULLET = re.compile(r"^\s*([-*]|\d+\.)\s+")
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w.]*)(?P<rest>(?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>")
_HREF = re.compile(r"""\b(?:href|url|to)=\{?["'`](?P<url>[^"'`]+)["'`]\}?""")
_WEB = re.compile(r"https?://|/(?!/)", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\(<?(?P<url>[^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><article><h1>{title}</h1>
{body}
</article></body></html>
"""


def routes(world: World) -> list[BaseRoute]:
    """``/blog/`` lists the posts, ``/blog/posts/{slug}`` (``/blog/{slug}`` too) is one."""
    _open_repository(repository(world))

    async def index(request: Request) -> Response:
        notice(world)
        rows = world.store.query(
            "SELECT remote_id, title FROM posts WHERE platform = ? AND removed_at IS NULL ORDER BY sequence",
            (PLATFORM,),
        )
        items = "".join(
            f'<li><a href="/blog/posts/{html.escape(row["remote_id"])}">{html.escape(row["title"])}</a></li>'
            for row in rows
        )
        return HTMLResponse(_PAGE.format(title="Blog", body=f"<ul>{items}</ul>"))

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
        Route("/blog/posts/{slug}", post),
        Route("/blog/{slug}", post),
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
    known = {
        row["remote_id"]: row
        for row in world.store.query("SELECT remote_id, removed_at FROM posts WHERE platform = ?", (PLATFORM,))
    }
    with world.store.transaction():
        for slug, source in live.items():
            front, text = front_matter(source)
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
    """MDX as a browser shows it, as far as readers of this world need: blocks, and links that can be followed."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line for line in block.splitlines() if not line.startswith(("import ", "export "))]
        if not lines:
            continue
        heading = re.match(r"(#{1,6})\s+(.*)", lines[0])
        if heading:
            level = len(heading[1])
            blocks.append(f"<h{level}>{_inline(heading[2])}</h{level}>")
            lines = lines[1:]
        if lines and all(_BULLET.match(line) for line in lines):
            items = "".join(f"<li>{_inline(_BULLET.sub('', line))}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        elif lines:
            blocks.append(f"<p>{_inline(' '.join(line.lstrip('> ') for line in lines))}</p>")
    return "\n".join(blocks)


def _inline(text: str) -> str:
    # Links are set aside before escaping, whether Markdown, HTML or a component with a link in it.
    kept: list[str] = []

    def keep(markup: str) -> str:
        kept.append(markup)
        return f"\0{len(kept) - 1}\0"

    def tag(found: re.Match[str]) -> str:
        if found["close"]:
            return keep("</a>") if found["name"] == "a" or found["name"][0].isupper() else ""
        url = _HREF.search(found["rest"])
        if url is None or not _WEB.match(html.unescape(url["url"])):
            return ""
        opened = keep(f'<a href="{html.escape(html.unescape(url["url"]))}" rel="sponsored nofollow">')
        return opened + (keep(f"{html.escape(found['name'])}</a>") if found["rest"].rstrip().endswith("/") else "")

    def link(found: re.Match[str]) -> str:
        if not _WEB.match(found["url"]):
            return found["text"]
        return keep(f'<a href="{html.escape(found["url"])}" rel="sponsored nofollow">{html.escape(found["text"])}</a>')

    text = _MARKDOWN_LINK.sub(link, _TAG.sub(tag, text))
    text = re.sub(r"\\([\\`*_{}\[\]()#+.!<>-])", r"\1", text)
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text)
    text = html.escape(html.unescape(text), quote=False)
    return re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], text)


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

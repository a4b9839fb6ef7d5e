"""The blog's site: what Python lets through compiles there, hostile text is shown as text, and the site builds.

The site's packages are installed by ``make site``, since no test reaches the network; without them this is skipped.
"""

from __future__ import annotations

import html
import json
import os
import random
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree

from affiliate_empire.content.mdx import mdx_problems
from affiliate_empire.content.post import Post, Section, render_mdx

SITE = Path(__file__).parents[2] / "site"
LINK = "http://127.0.0.1:1/r/abc?x=1&y=2"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (SITE / "node_modules" / "next").exists(),
    reason="node or the site's packages are not there: `make site` installs them",
)

SIGNS = [
    "{",
    "}",
    "<",
    ">",
    "`",
    "```",
    "*",
    "**",
    "_",
    "~~",
    "#",
    "-",
    "+",
    "=",
    "1.",
    "12345)",
    "|",
    "\\",
    "&",
    "&amp;",
]
SIGNS += [
    "import x",
    "export y",
    "<!--",
    "-->",
    "</Disclosure>",
    "<AffiliateLink",
    "[^1]",
    "[^1]: note",
    "[a]",
    "(b)",
    "!",
]
SIGNS += [
    "https://evil.example",
    "www.evil.example",
    "<https://evil.example>",
    "a@b.example",
    "---",
    "\n",
    "\n\n",
    "    ",
]
SIGNS += [
    "\u202e",
    "\u200f",
    "\ufeff",
    "\u2028",
    "\x00",
    "\t",
    "😀",
    "👩‍👩‍👧",
    "é",
    "words",
    "title:",
    '"',
    "'",
    "]]>",
    "${x}",
    "\\u007b",
]


def hostile(chance: random.Random) -> str:
    """Signs that mean something somewhere, and characters of any kind, glued together."""
    parts = [
        chance.choice(SIGNS) if chance.random() < 0.8 else chr(chance.choice([*range(0x250), *range(0x2000, 0x2070)]))
        for _ in range(chance.randrange(12))
    ]
    return chance.choice([" ", ""]).join(parts)


def page(title: str, heading: str, texts: list[str], product: str, fact: str) -> str:
    sections = [Section(heading=heading, markdown="\n\n".join(texts), fact_ids=["F1"])] * 3
    return render_mdx(
        Post(title=title, meta_description=heading, sections=sections),
        piece_id="pc_0123456789abcdef",
        published_on=date(2026, 11, 20),
        product=product,
        link_url=LINK,
        disclosure="This article contains affiliate links.",
        ai_statement="Written with AI.",
        facts={"F1": fact},
        tags=["home & kitchen"],
    )


def verdicts(pages: list[str]) -> list[dict[str, Any]]:
    """What the site's own strict compiler says of each page."""
    given_to = "\n".join(json.dumps(page) for page in pages) + "\n"
    done = subprocess.run(
        ["node", "lib/check.mjs"], cwd=SITE, input=given_to, capture_output=True, text=True, timeout=250, check=True
    )
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def seen(text: str) -> list[str]:
    """The characters that a reader sees, in their order."""
    return [character for character in text if not character.isspace() and character.isprintable()]


@pytest.mark.long
def test_hostile_text_compiles_and_is_shown_as_it_is() -> None:
    chance = random.Random(7)
    cases = [[hostile(chance) for _ in range(5)] for _ in range(2000)]
    pages = [page(title, heading, [text], product, fact) for title, heading, text, product, fact in cases]
    assert [mdx_problems(one) for one in pages] == [[]] * len(pages)
    for (_, heading, *_), source, verdict in zip(cases, pages, verdicts(pages), strict=True):
        assert verdict["ok"], (verdict, source)
        shown = verdict["html"]
        # The site's own components and plain Markdown; whatever else looks like a tag is text.
        tags = set(re.findall(r"<(\w+)", shown))
        assert tags <= {"aside", "h2", "p", "strong", "ul", "ol", "li", "a", "section"}, source
        assert re.findall(r'href="([^"]*)"', shown) == [html.escape(LINK)] * 2
        clean = re.sub(r"(?:https?://|www\.)\S*", "", re.sub(r"\s", " ", heading), flags=re.IGNORECASE)
        headings = re.findall(r"<h2>(.*?)</h2>", shown, re.DOTALL)
        assert all(seen(html.unescape(one)) == [c for c in seen(clean) if c != "\ufeff"] for one in headings), source


@pytest.mark.long
def test_what_python_lets_through_the_site_does_too() -> None:
    """Pages that were broken on purpose: the site may take more than our grammar, and never less."""
    base = page("T", "H", ["Some **bold** text."], "Kettle", "Holds one litre.")
    places = [found.start() for found in re.finditer(r"(?<=\n\n)|(?<= )|(?<=>)", base)]
    chance = random.Random(7)
    pages = []
    for _ in range(2000):
        at, cut = chance.choice(places), chance.choice([0, 0, chance.randrange(30)])
        pages.append(base[:at] + hostile(chance) + base[at + cut :])
    ours = [not mdx_problems(one) for one in pages]
    theirs = [verdict["ok"] for verdict in verdicts(pages)]
    assert [one for one, python, node in zip(pages, ours, theirs, strict=True) if python and not node] == []
    assert sum(ours) > 50
    assert theirs.count(False) > 500


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_site_builds_with_real_posts(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("node_modules", ".next", "out"), symlinks=True)
    # Turbopack follows no link out of its root, so the packages are linked file by file.
    shutil.copytree(SITE / "node_modules", site / "node_modules", symlinks=True, copy_function=link)
    settings_file = site / "site.json"
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {"url": "https://gear.example/blog"}))
    post = page(
        "</Disclosure> {x} & <b>", "What it does", ["It **boils** {water}.\n- one\n- two"], "Kettle", "One litre."
    )
    slug = re.search(r'^slug: "(.*)"$', post, re.MULTILINE)
    assert slug
    (site / "content" / "posts" / f"{slug[1]}.mdx").write_text(post)
    built = build(site)
    assert built.returncode == 0, built.stdout + built.stderr

    out = site / "out"
    shown = (out / "posts" / f"{slug[1]}.html").read_text()
    url = f"https://gear.example/blog/posts/{slug[1]}"
    assert "It <strong>boils</strong> {water}." in shown
    assert shown.count('rel="sponsored nofollow" referrerPolicy="origin"') == 2
    assert shown.index("This article contains affiliate links.</aside>") < shown.index(html.escape(LINK))
    assert f'<link rel="canonical" href="{url}"/>' in shown
    assert f'<meta property="og:url" content="{url}"/>' in shown
    assert 'lang="en"' in shown
    assert all(mark in shown for mark in ("<main", "<header", "<footer", "<nav", 'href="#content"'))
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!gear\.example|127\.0\.0\.1)', shown)
    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', shown, re.DOTALL)[1])  # type: ignore[index]
    assert [one["@type"] for one in data["@graph"]] == ["BlogPosting", "BreadcrumbList"]
    assert data["@graph"][0]["headline"] == "</Disclosure> {x} & <b>"
    assert not re.search("rating|review|offer", json.dumps(data), re.IGNORECASE)
    feed = ElementTree.parse(out / "feed.xml").getroot()
    assert feed.get("version") == "2.0"
    assert [item.findtext("link") for item in feed.iter("item")] == [url]
    assert [item.findtext("title") for item in feed.iter("item")] == ["</Disclosure> {x} & <b>"]
    places = [place.text for place in ElementTree.parse(out / "sitemap.xml").iter() if place.tag.endswith("loc")]
    assert url in places
    assert "https://gear.example/blog/topics/home-kitchen" in places
    assert "Sitemap: https://gear.example/blog/sitemap.xml" in (out / "robots.txt").read_text()


def link(source: str, target: str) -> None:
    """A file once more, without its bytes where the file system can."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def build(site: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NEXT_TELEMETRY_DISABLED": "1", "CI": "1"}
    return subprocess.run(
        ["npm", "run", "build"], cwd=site, env=environment, capture_output=True, text=True, timeout=570, check=False
    )


@pytest.mark.parametrize(
    "broken",
    ["{process.env.KEY}", "export const x = 1", "import x from 'y'", "<Unknown />", "<script>x</script>", "![x](y.png)",
     '<AffiliateLink href="javascript:x">y</AffiliateLink>', '<AffiliateLink href={"http://x"}>y</AffiliateLink>',
     "<AffiliateLink {...x}>y</AffiliateLink>", "[x](javascript:alert)"],
)  # fmt: skip
def test_what_would_run_fails_the_build(broken: str) -> None:
    source = page("T", "H", ["Text."], "Kettle", "Fact.")
    good, bad = verdicts([source, source.replace("<AiStatement>", f"{broken}\n\n<AiStatement>")])
    assert good["ok"]
    assert not bad["ok"]

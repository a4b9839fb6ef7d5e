// RSS 2.0, the newest twenty posts.
import { posts } from '../../lib/posts.mjs';
import { address, site } from '../../lib/site.mjs';

export const dynamic = 'force-static';

// XML has no place for control characters and noncharacters, not even escaped.
const text = (value) =>
  value
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const item = ({ slug, title, description, date, tags, disclosure }) => `
    <item>
      <title>${text(title)}</title>
      <link>${text(address(`/posts/${slug}`))}</link>
      <guid isPermaLink="true">${text(address(`/posts/${slug}`))}</guid>
      <pubDate>${new Date(`${date}T00:00:00Z`).toUTCString()}</pubDate>
      <description>${text(`${disclosure} ${description}`)}</description>${tags
        .map((tag) => `\n      <category>${text(tag)}</category>`)
        .join('')}
    </item>`;

export function GET() {
  const feed = `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">
  <channel>
    <title>${text(site.name)}</title>
    <link>${text(address('/'))}</link>
    <description>${text(site.description)}</description>
    <language>${text(site.language)}</language>
    <atom:link href="${text(address('/feed.xml'))}" rel="self" type="application/rss+xml"/>${posts()
      .slice(0, 20)
      .map(item)
      .join('')}
  </channel>
</rss>
`;
  return new Response(feed, { headers: { 'content-type': 'application/rss+xml; charset=utf-8' } });
}

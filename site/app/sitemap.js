import { posts, topics } from '../lib/posts.mjs';
import { address } from '../lib/site.mjs';

export const dynamic = 'force-static';

export default function sitemap() {
  return [
    { url: address('/') },
    { url: address('/about') },
    ...topics().map(({ path, posts: [newest] }) => ({ url: address(path), lastModified: newest.date })),
    ...posts().map(({ slug, date }) => ({ url: address(`/posts/${slug}`), lastModified: date })),
  ];
}

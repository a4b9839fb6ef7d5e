// The posts of content/posts, newest first. Two posts with one slug, or a file that is not named for its slug, fail the build.
import { run } from '@mdx-js/mdx';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as runtime from 'react/jsx-runtime';
import { compileBody, parsePost } from './strict.mjs';
import { topicPath } from './site.mjs';

const FOLDER = join(process.cwd(), 'content', 'posts');

function readAll() {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.mdx'));
  const posts = names.map((name) => {
    const post = parsePost(readFileSync(join(FOLDER, name), 'utf8'), name);
    if (`${post.meta.slug}.mdx` !== name) throw new Error(`${name}: its slug is ${post.meta.slug}`);
    return post;
  });
  return posts.sort((a, b) => b.meta.date.localeCompare(a.meta.date) || a.meta.slug.localeCompare(b.meta.slug));
}

let all;

export function posts() {
  return (all ??= readAll()).map((post) => post.meta);
}

export function findPost(slug) {
  posts();
  return all.find((post) => post.meta.slug === slug);
}

/** Topics with their posts, by the path that they share. */
export function topics() {
  const found = new Map();
  for (const post of posts()) {
    for (const tag of post.tags) {
      const path = topicPath(tag);
      if (!found.has(path)) found.set(path, { path, tag, posts: [] });
      found.get(path).posts.push(post);
    }
  }
  return [...found.values()].sort((a, b) => a.tag.localeCompare(b.tag));
}

/** A post's body as a React component that wants the site's `components`. */
export async function contentOf(post) {
  try {
    return (await run(await compileBody(post.body), { ...runtime, baseUrl: import.meta.url })).default;
  } catch (error) {
    throw new Error(`content/posts/${post.meta.slug}.mdx: ${error.message}`);
  }
}

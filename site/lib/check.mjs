// Tells of each post that it would build: `node lib/check.mjs < posts.jsonl`, one JSON string (a file's text) a line.
// Prints one JSON object a line: {"ok": true, "title": …, "html": its body} or {"ok": false, "why": …}.
import { run } from '@mdx-js/mdx';
import { createInterface } from 'node:readline';
import * as runtime from 'react/jsx-runtime';
import { renderToStaticMarkup } from 'react-dom/server';
import { createElement } from 'react';
import { compileBody, parsePost } from './strict.mjs';

const plain = (tag) => ({ children }) => createElement(tag, null, children);
const components = {
  Disclosure: plain('aside'),
  AiStatement: plain('aside'),
  AffiliateLink: ({ href, children }) => createElement('a', { href }, children),
  Facts: plain('section'),
};

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await verdict(JSON.parse(line))));
}

async function verdict(source) {
  try {
    const { meta, body } = parsePost(source, 'the post');
    const { default: Content } = await run(await compileBody(body), { ...runtime, baseUrl: import.meta.url });
    return { ok: true, title: meta.title, html: renderToStaticMarkup(createElement(Content, { components })) };
  } catch (error) {
    return { ok: false, why: error.message };
  }
}

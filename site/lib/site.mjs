// What the site says of itself: site.json. `href` is a path inside the site, `address` the whole URL of one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const site = JSON.parse(readFileSync(join(process.cwd(), 'site.json'), 'utf8'));
const base = site.url.replace(/\/$/, '');

export const address = (path) => base + path;

export const topicName = (tag) => tag.charAt(0).toUpperCase() + tag.slice(1);

export const topicPath = (tag) => `/topics/${tag.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'topic'}`;

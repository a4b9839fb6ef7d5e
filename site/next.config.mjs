// A static site: every page is made at build time, so a post that does not compile never replaces one that does.
import site from './site.json' with { type: 'json' };

const path = new URL(site.url).pathname.replace(/\/$/, '');

export default {
  output: 'export',
  basePath: path,
  poweredByHeader: false,
  serverExternalPackages: ['@mdx-js/mdx'],
};

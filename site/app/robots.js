import { address } from '../lib/site.mjs';

export const dynamic = 'force-static';

export default function robots() {
  return { rules: { userAgent: '*', allow: '/' }, sitemap: address('/sitemap.xml') };
}

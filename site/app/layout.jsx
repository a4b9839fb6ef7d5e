import Link from 'next/link';
import { address, site } from '../lib/site.mjs';
import './style.css';

export const metadata = {
  metadataBase: new URL(site.url),
  title: { default: site.name, template: `%s · ${site.name}` },
  description: site.description,
  referrer: 'strict-origin-when-cross-origin',
};

export const viewport = { colorScheme: 'light dark' };

export default function Layout({ children }) {
  return (
    <html lang={site.language}>
      <head>
        <link rel="alternate" type="application/rss+xml" title={site.name} href={address('/feed.xml')} />
      </head>
      <body>
        <a className="skip" href="#content">Skip to content</a>
        <header>
          <Link className="name" href="/" prefetch={false}>{site.name}</Link>
          <nav aria-label="Main">
            <Link href="/" prefetch={false}>Posts</Link>
            <Link href="/about" prefetch={false}>About and disclosure</Link>
          </nav>
        </header>
        <main id="content" tabIndex={-1}>{children}</main>
        <footer>
          <p>
            {site.publisher} earns a commission on some links. <Link href="/about" prefetch={false}>How this works</Link> ·{' '}
            <a href={address('/feed.xml')}>RSS</a>
          </p>
        </footer>
      </body>
    </html>
  );
}

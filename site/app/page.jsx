import Link from 'next/link';
import { Listing } from '../components/listing.jsx';
import { posts, topics } from '../lib/posts.mjs';
import { address, site } from '../lib/site.mjs';

export const metadata = {
  alternates: { canonical: address('/') },
  openGraph: { type: 'website', siteName: site.name, title: site.name, description: site.description, url: address('/') },
};

export default function Home() {
  return (
    <>
      <h1>{site.name}</h1>
      <p className="lead">{site.description}</p>
      {topics().length > 0 && (
        <nav aria-label="Topics">
          <ul className="topics">
            {topics().map(({ path, tag }) => (
              <li key={path}><Link href={path} prefetch={false}>{tag}</Link></li>
            ))}
          </ul>
        </nav>
      )}
      <Listing posts={posts()} />
    </>
  );
}

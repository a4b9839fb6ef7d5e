import Link from 'next/link';
import { Day } from './day.jsx';

export function Listing({ posts }) {
  if (posts.length === 0) return <p>Nothing has been published yet.</p>;
  return (
    <ul className="listing">
      {posts.map((post) => (
        <li key={post.slug}>
          <article>
            <h2>
              <Link href={`/posts/${post.slug}`} prefetch={false}>{post.title}</Link>
            </h2>
            <p className="meta"><Day iso={post.date} /></p>
            <p>{post.description}</p>
          </article>
        </li>
      ))}
    </ul>
  );
}

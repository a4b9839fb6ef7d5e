import Link from 'next/link';

export const metadata = { title: 'Page not found' };

export default function NotFound() {
  return (
    <>
      <h1>There is no such page</h1>
      <p><Link href="/" prefetch={false}>See all posts</Link></p>
    </>
  );
}

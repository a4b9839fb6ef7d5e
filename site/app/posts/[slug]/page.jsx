import Link from 'next/link';
import { StructuredData } from '../../../components/data.jsx';
import { Day } from '../../../components/day.jsx';
import { components } from '../../../components/post.jsx';
import { contentOf, findPost, posts } from '../../../lib/posts.mjs';
import { address, site, topicName, topicPath } from '../../../lib/site.mjs';

export const dynamicParams = false;

// A static export wants at least one page of each kind; without posts it is one that says so.
export const generateStaticParams = () => {
  const slugs = posts().map(({ slug }) => ({ slug }));
  return slugs.length > 0 ? slugs : [{ slug: 'none-yet' }];
};

export async function generateMetadata({ params }) {
  const post = findPost((await params).slug);
  if (!post) return { title: 'Nothing has been published yet', robots: { index: false } };
  const { title, description, date, slug, tags } = post.meta;
  const url = address(`/posts/${slug}`);
  return {
    title,
    description,
    alternates: { canonical: url },
    openGraph: { type: 'article', siteName: site.name, title, description, url, publishedTime: date, tags },
    twitter: { card: 'summary', title, description },
  };
}

export default async function Post({ params }) {
  const post = findPost((await params).slug);
  if (!post) return <h1>Nothing has been published yet</h1>;
  const Content = await contentOf(post);
  const { title, tags, date } = post.meta;
  return (
    <article>
      <StructuredData data={dataOf(post.meta)} />
      <nav aria-label="Breadcrumb">
        <ol className="crumbs">
          <li><Link href="/" prefetch={false}>{site.name}</Link></li>
          {tags.slice(0, 1).map((tag) => (
            <li key={tag}><Link href={topicPath(tag)} prefetch={false}>{topicName(tag)}</Link></li>
          ))}
        </ol>
      </nav>
      <h1>{title}</h1>
      <p className="meta">By {site.publisher} · <Day iso={date} /></p>
      <Content components={components} />
    </article>
  );
}

function dataOf({ title, description, date, slug, tags }) {
  const url = address(`/posts/${slug}`);
  const publisher = { '@type': 'Organization', name: site.publisher, url: address('/about') };
  const crumbs = [
    { name: site.name, item: address('/') },
    ...tags.slice(0, 1).map((tag) => ({ name: topicName(tag), item: address(topicPath(tag)) })),
    { name: title, item: url },
  ];
  return [
    {
      '@type': 'BlogPosting',
      headline: title,
      description,
      datePublished: date,
      dateModified: date,
      inLanguage: site.language,
      mainEntityOfPage: url,
      keywords: tags,
      author: publisher,
      publisher,
    },
    {
      '@type': 'BreadcrumbList',
      itemListElement: crumbs.map((crumb, index) => ({ '@type': 'ListItem', position: index + 1, ...crumb })),
    },
  ];
}

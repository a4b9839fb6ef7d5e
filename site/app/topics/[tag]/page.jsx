import { Listing } from '../../../components/listing.jsx';
import { topics } from '../../../lib/posts.mjs';
import { address, site, topicName } from '../../../lib/site.mjs';

export const dynamicParams = false;

export const generateStaticParams = () => {
  const tags = topics().map(({ path }) => ({ tag: path.split('/').at(-1) }));
  return tags.length > 0 ? tags : [{ tag: 'none-yet' }];
};

const find = async (params) => {
  const { tag } = await params;
  return topics().find(({ path }) => path === `/topics/${tag}`);
};

export async function generateMetadata({ params }) {
  const topic = await find(params);
  if (!topic) return { title: 'Nothing has been published yet', robots: { index: false } };
  const title = topicName(topic.tag);
  const description = `Posts about ${topic.tag}.`;
  const url = address(topic.path);
  return {
    title,
    description,
    alternates: { canonical: url },
    openGraph: { type: 'website', siteName: site.name, title, description, url },
  };
}

export default async function Topic({ params }) {
  const topic = await find(params);
  return (
    <>
      <h1>{topic ? topicName(topic.tag) : 'Topics'}</h1>
      <Listing posts={topic?.posts ?? []} />
    </>
  );
}

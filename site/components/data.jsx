// Structured data: what a page is and where it stands. No ratings, reviews or offers: nobody here tested or sells anything,
// and a price in it would be stale tomorrow.
export function StructuredData({ data }) {
  const text = JSON.stringify({ '@context': 'https://schema.org', '@graph': data }).replace(/</g, '\\u003c');
  return <script type="application/ld+json" dangerouslySetInnerHTML={{ __html: text }} />;
}

import { address, site } from '../../lib/site.mjs';

const title = 'About and disclosure';
const description = `Who publishes ${site.name}, how posts are written, and what is paid for.`;

export const metadata = {
  title,
  description,
  alternates: { canonical: address('/about') },
  openGraph: { type: 'website', siteName: site.name, title, description, url: address('/about') },
};

export default function About() {
  return (
    <>
      <h1>{title}</h1>
      <h2>What is paid for</h2>
      <p>
        Links marked “Affiliate link” lead to shops. When you buy something there, {site.publisher} may be paid a
        commission; your price stays the same. Each post says so before its first link.
      </p>
      <h2>How posts are written</h2>
      <p>
        Posts are written with the help of AI from published product data, and each says which facts it relies on and of
        which day they are. We have not tested the products ourselves, and we publish no ratings or reviews.
      </p>
      <h2>What we do not keep</h2>
      <p>This site sets no cookies and loads nothing from elsewhere. Shop links pass our own counter of clicks.</p>
    </>
  );
}

// The components that a post may use, and no others (lib/strict.mjs).

/** Stands before the first link: who reads on knows who pays. */
export function Disclosure({ children }) {
  return (
    <aside className="notice" aria-label="Affiliate disclosure">
      {children}
    </aside>
  );
}

/**
 * The one way a post links to a shop. `sponsored nofollow` tells search engines that it is paid for. The shop and its
 * network see which site the visit came from, as their rules want it, and not which page.
 */
export function AffiliateLink({ href, children }) {
  return (
    <p className="shop">
      <a className="button" href={href} rel="sponsored nofollow" referrerPolicy="origin">
        {children}
      </a>{' '}
      <small>Affiliate link</small>
    </p>
  );
}

export function AiStatement({ children }) {
  return (
    <aside className="notice quiet" aria-label="How this was written">
      {children}
    </aside>
  );
}

/** The facts that a post relies on, where they are from, and of which day they are. */
export function Facts({ checked, children }) {
  return (
    <section className="facts" aria-labelledby="facts">
      <h2 id="facts">What this is based on</h2>
      <p>
        The maker’s and the shop’s published product data, as of <time dateTime={checked}>{checked}</time>. We have not
        tested it ourselves.
      </p>
      {children}
    </section>
  );
}

export const components = { Disclosure, AffiliateLink, AiStatement, Facts };

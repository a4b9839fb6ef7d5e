"""What may be said and what must be said: claims that need a fact, phrases that are never true here, disclosures.

Pure judgements over texts; each returns reasons as sentences, none when the text may go out. The same sentences tell a
model what to repair. Nothing here publishes, and no judgement can be switched off by a caller.

Where the rules come from: 16 CFR 255 (endorsements: disclosure hard to miss, in the channel of the claim), 16 CFR 465
(fake reviews: no experience that nobody had), Google's product-review and spam policies, the networks' price rules.
"""

from affiliate_empire.compliance.claims import check_post, check_script, forbidden_claims
from affiliate_empire.compliance.disclosure import check_description, check_page, check_spoken
from affiliate_empire.compliance.offer import check_price

__all__ = [
    "check_description",
    "check_page",
    "check_post",
    "check_price",
    "check_script",
    "check_spoken",
    "forbidden_claims",
]

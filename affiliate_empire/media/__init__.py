"""The files a piece is made of: kept, composed, rendered and judged.

``store`` keeps files by content, ``captions`` times and lays out words, ``composition`` writes the one filtergraph,
``sound`` brings the voice to the platforms' loudness, ``render`` runs both, ``quality`` judges a finished file and
``thumbnail`` sets a headline on a picture. Nothing here knows a vendor, the ledger or a platform's API.
"""

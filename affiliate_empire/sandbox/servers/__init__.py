"""One module per vendor; each exports ``routes(world)`` and knows its vendor's wire protocol, nothing of the others."""

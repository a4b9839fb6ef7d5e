"""How the outside is plugged in: one module per external API or store, config fields and ``create_resource``."""

"""The sandbox world: local servers that speak the vendors' wire protocols, and behind them one seeded market.

Started as a process (``python -m affiliate_empire.sandbox``) and reached over HTTP, like the vendors it plays. It
imports nothing of the business and nothing imports it: what the business believes is checked against its witness.
"""

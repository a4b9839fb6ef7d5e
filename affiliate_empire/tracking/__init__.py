"""The public web service: redirects that record clicks, hub pages, postbacks (``empire track``).

It reads links and writes clicks and conversion events; it decides nothing and publishes nothing.
"""

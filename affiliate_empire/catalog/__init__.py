"""What there is to sell: merchants' feeds and networks' catalogues turned into one frame of products.

Pure: bytes and mappings in, frames out, and every row that cannot be used is kept with its reason. Fetching lies in
``vendors``, storing in ``operations.sync_catalog``.
"""

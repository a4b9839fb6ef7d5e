"""What goes out with a piece: titles, descriptions, platform flags, and where its links lead.

Pure. The acts of posting lie in ``affiliate_empire.operations.publish_piece``; when a piece may go out is decided by
the plan (``affiliate_empire.planning.slots``).
"""

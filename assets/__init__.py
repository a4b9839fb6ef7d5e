"""What exists: one module per stage of the loop; the module's name is the group's name. Bodies are short: they call the
domain (``affiliate_empire.operations``).
"""

"""Credentials that must outlive a process: encrypted in the ledger, renewed by one writer at a time.

What a credential is for, and how a vendor renews it, is the vendor client's (``affiliate_empire.vendors``).
"""

from affiliate_empire.vault.grants import Grants
from affiliate_empire.vault.keys import MasterKey, MasterKeys, open_master_keys
from affiliate_empire.vault.longlived import ExtendedToken
from affiliate_empire.vault.rotation import RotatingTokens
from affiliate_empire.vault.sign_ins import instagram_sign_in, youtube_sign_in
from affiliate_empire.vault.store import Vault

__all__ = [
    "ExtendedToken",
    "Grants",
    "MasterKey",
    "MasterKeys",
    "RotatingTokens",
    "Vault",
    "instagram_sign_in",
    "open_master_keys",
    "youtube_sign_in",
]

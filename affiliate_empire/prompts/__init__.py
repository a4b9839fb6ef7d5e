"""Prompt versions: immutable texts, each a file of the library, and how one is filled with a product's facts.

A version's file never changes once it has been used: another wording is another version (``question-hook@2``) that
names its parent. The ledger keeps the text that was used; this package neither stores nor sends anything.
"""

from affiliate_empire.prompts.library import PromptTemplate, load_library, parse_template
from affiliate_empire.prompts.rendering import RenderedPrompt, render

__all__ = ["PromptTemplate", "RenderedPrompt", "load_library", "parse_template", "render"]

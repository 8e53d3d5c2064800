"""Detailed investigations: one study per family, and in it one context after the other (paper, section of that name)."""

"""Detailed investigations: one exhibit per family and context, drawn by the family's module."""

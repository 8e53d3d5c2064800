"""Exhibits of what the paper has not."""

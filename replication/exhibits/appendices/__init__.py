"""Exhibits of the appendices."""

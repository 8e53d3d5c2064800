"""Exhibits of the section on global analysis."""

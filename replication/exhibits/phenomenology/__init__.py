"""Exhibits of the section on phenomenology."""

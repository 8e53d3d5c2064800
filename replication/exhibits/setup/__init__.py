"""Exhibits of the section on problem setup."""

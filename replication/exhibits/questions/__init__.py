"""Exhibits of questions that readers of the paper asked."""

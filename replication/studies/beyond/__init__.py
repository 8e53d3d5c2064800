"""Studies of what the paper has not."""

"""Studies of the appendices."""

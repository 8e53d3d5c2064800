"""Studies of the section on global analysis."""

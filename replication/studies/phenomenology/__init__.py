"""Studies of the section on phenomenology."""

"""Studies of the section on problem setup."""

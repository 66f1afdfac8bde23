"""Every change of the tables, oldest first; each runs once, forward only."""

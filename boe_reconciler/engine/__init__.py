"""The two loops and the one run: everything that happens, in order."""

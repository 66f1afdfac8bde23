"""Pure functions: text -> resources -> plan -> due runs -> what next.

Nothing here reads a clock, a file, the environment or a random source: those
come in as arguments.
"""

"""YAML text -> resources, or Problems; and the schema of the language."""

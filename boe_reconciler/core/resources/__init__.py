"""The YAML language: one pydantic model a kind."""

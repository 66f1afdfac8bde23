"""Where secret values come from: the environment and files."""

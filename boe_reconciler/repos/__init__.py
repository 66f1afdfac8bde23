"""Where YAML comes from: one file a kind of repo."""

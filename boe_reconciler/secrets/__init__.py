"""Where secret values come from: the environment, files, and encrypted files of the repo."""

"""Where files go: one file a type of destination."""

"""What stands behind a secret reference."""

"""Forges: where people see what became of a commit (`core.ports.Forge`)."""

"""How a claimed run reaches a worker."""

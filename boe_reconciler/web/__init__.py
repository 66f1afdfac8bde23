"""What is seen from outside over HTTP: whether it lives, whether it is ready, numbers."""

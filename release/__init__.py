"""What `make release` does, and `make version VERSION=X.Y.Z` before it."""

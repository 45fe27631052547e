"""Keep jobs in one SQLite file."""

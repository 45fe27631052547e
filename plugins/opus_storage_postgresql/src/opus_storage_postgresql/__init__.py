"""Keep jobs in a PostgreSQL database."""

"""Tells people and programs of jobs: e-mail and webhooks, from the journal, at least once."""

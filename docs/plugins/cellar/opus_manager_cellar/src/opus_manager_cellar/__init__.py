"""Jobs of OPUS are run by cellar."""

"""Read and write job descriptions as WADL."""

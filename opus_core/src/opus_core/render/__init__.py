"""Turn jobs and descriptions into documents: XML, JSON, plain text and pages. No I/O, no HTTP."""

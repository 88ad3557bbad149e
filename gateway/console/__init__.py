"""The human door: server-rendered pages for auditors and administrators."""

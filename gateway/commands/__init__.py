"""The groups of the local command line; `gateway/cli.py` puts them together."""

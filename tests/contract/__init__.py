"""Adapters against real systems, each in a process of its own."""

"""The conformance kit: named checks of one edge's adapter against its own system, and a signed report."""

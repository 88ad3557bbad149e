"""Departments' side of the house: what reads a departmental system, reduces, seals, and lets nothing else out.

Rules kept here: only client, release, keys, domain and errors of the gateway are used; whatever is not ordered is not fetched.
"""

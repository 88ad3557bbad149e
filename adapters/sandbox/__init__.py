"""Simulated departmental systems over the protocols found in the field, fed from one synthetic population.

Rules kept here: nothing in this folder is trusted by anything outside demo, tests and conformance kit; every person is invented.
"""

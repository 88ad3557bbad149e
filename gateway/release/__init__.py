"""What leaves: reduced at its source, checked at the gateway. Pure functions; no I/O, no clock, no key of ours.

Rules kept here: a field leaves only if the exchange names it, the permit grants it and its obligation is understood; the
same table of forms serves the side that applies them and the side that checks them; no error ever carries a value.
"""

"""依据: consent, wishes, cases, approvals, doors and reviews - what every call is checked against.

`basis.py` finds the basis of one call; the other modules make the changes, each a `Change`: an entry of the audit log and
the effect that runs in that entry's own transaction, so that nothing here changes without its record.
"""

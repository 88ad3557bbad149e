"""Transparency-log formats, pure: RFC 6962 trees, C2SP notes, checkpoints, cosignatures, tiles and tlog-proofs.

Used by gateway, SDK and verifier alike. Nothing here reads a clock, a file (but for `verify.py`) or a network.
"""

"""Step (1): who asks. Tokens, request proofs, officers, approvals; nothing is parsed before its bytes are authenticated.

Rules kept here: `EdDSA` is the only algorithm and every `typ` is fixed by its reader, so no statement can be taken for
another; keys come from the registry, never from what is being checked; a refusal names a code and nothing that came in.
"""

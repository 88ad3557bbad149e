"""What a child is called, and every key of the house: the group, scopes, text form, ring, sealing, signing, providers.

Key material never stands in this folder, a log, a repr or an exception.
"""

"""Tables of the basis room."""

"""Tables of the exchange room."""

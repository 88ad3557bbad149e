"""What every department's adapter shares: the port, the mapping file, faults, guarded calls, the answering of orders."""

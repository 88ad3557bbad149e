"""The edge (前置机): a department's own front-end machine, the only place where its records meet an order."""

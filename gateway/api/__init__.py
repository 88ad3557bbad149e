"""The machine door: thin routes, strict schemas, problem documents. It decides nothing."""

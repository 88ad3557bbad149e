"""Use cases, one verb a file. `query.py` and `deliver.py` tell the two stories; read them first."""

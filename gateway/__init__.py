"""润心网关 Runxin Gateway: a privacy-preserving data-sharing gateway. Read `flows/query.py` and `flows/deliver.py` first."""

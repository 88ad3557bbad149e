"""Every table of the house, so that `metadata` is complete when the schema is made or migrated."""

from gateway.store import audit_tables, basis_tables, console_tables, exchange_tables, policy_tables, registry_tables

__all__ = ["audit_tables", "basis_tables", "console_tables", "exchange_tables", "policy_tables", "registry_tables"]

"""审计: nothing leaves unrecorded, anybody can check the record, and the record links nobody (DESIGN section 8)."""

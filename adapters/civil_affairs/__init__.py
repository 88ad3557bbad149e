"""Civil affairs (民政): a SQL view by any SQLAlchemy URL."""

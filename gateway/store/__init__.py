"""The only room that imports SQLAlchemy: tables, repositories, unit of work, migrations.

A repository never commits. Reads take a `Reading` or a `Writing`, writes take a `Writing`, and the only places that open a
`Writing` are the log's append (so that no change lacks its entry) and set-up by the local command line.
"""

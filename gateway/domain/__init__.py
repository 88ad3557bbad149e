"""The values that the house speaks in: frozen, standard library only, no I/O.

Nothing here imports anything outside this folder. Pydantic models live at the doors (`gateway/api`), rows in `gateway/store`.
"""

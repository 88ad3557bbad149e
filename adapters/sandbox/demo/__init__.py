"""The demo: five departmental systems, five edges and the gateway as processes on loopback, and the story told between them.

`steps.py` is what happens, `site.py` who takes part, `departments.py` their systems, `stage.py` the processes, `telling.py` what
the screen says.
"""

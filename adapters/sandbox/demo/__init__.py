"""The demo: two departmental systems, two edges and the gateway as processes on loopback, and the story told between them.

`story.py` is what happens, `site.py` who takes part, `stage.py` the processes, `telling.py` what the screen says.
"""

"""The steps of the story in their order, and the desks at which people sit."""

from __future__ import annotations

from adapters.sandbox.cast import cast
from adapters.sandbox.demo.auditing import step_h
from adapters.sandbox.demo.doors import step_f, step_g
from adapters.sandbox.demo.five_story import tell_five
from adapters.sandbox.demo.refusals import step_e
from adapters.sandbox.demo.story import Story, step_a, step_b, step_c, step_d


def tell(story: Story) -> None:
    """Steps a to h, and where five departments have an edge, i to o."""
    roles = cast(story.stage.population)
    desks = {
        "ca": story.desk("ca", "M0101", "case_worker"),
        "ed": story.desk("ed", "J0201", "case_worker"),
        "sc": story.desk("sc", "T0417", "school_psychologist"),
        "yl": story.desk("yl"),
        "out": story.desk("out", "N0101", "case_worker"),
        "auditor": story.desk("ca", "M0990", "auditor"),
    }
    for chapter in (step_a, step_b, step_c, step_d, step_e, step_f, step_g, step_h):
        story.teller.chapter(chapter.__name__[-1])
        chapter(story, roles, desks)
    if "he" in story.site.edges:
        tell_five(story, roles)

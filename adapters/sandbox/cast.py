"""The children that the demo and the tests speak of, found in a population by what they are.

Rules kept here: a role is a predicate, never a planted person; a population without such a child says which one is lacking.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.sandbox import codes, names
from adapters.sandbox.population import Child, Population
from gateway.domain.vocabulary import AgeBand

HOME = "330106"


@dataclass(frozen=True, slots=True)
class Cast:
    """pupil: 8-13, in both systems, home and school in 330106, in the programme, four Han characters or more.
    other: like the pupil, another family. teen: 14-15, in both systems. outside: home within 3301, school in 330203.
    left: file at civil affairs, but no longer in the programme. unlisted: a pupil without any file at civil affairs.
    without_id: known by the number that civil affairs issued. twins: two of one birth date and address.
    """

    pupil: Child
    other: Child
    teen: Child
    outside: Child
    left: Child
    unlisted: Child
    without_id: Child
    twins: tuple[Child, Child]


def cast(population: Population) -> Cast:
    """The first child for each role. `LookupError` names a role that nobody in this population can take."""
    on = population.on

    def one(role: str, *found: Child) -> Child:
        if not found:
            raise LookupError(f"no child for the role {role}; take a larger population")
        return found[0]

    def in_both(child: Child) -> bool:
        return (
            child.in_programme and child.known_to_education and child.enrolment == "01" and child.identifier is not None
        )

    def at_home(child: Child) -> bool:
        return child.county == HOME and child.school is not None and child.school.county == HOME

    def clean(child: Child) -> bool:
        return child.number not in population.misspelt and child.number not in population.miscopied

    middle = population.where(in_both, at_home, clean, lambda c: c.band(on) is AgeBand.A8_13)
    pupil = one("pupil", *(c for c in middle if names.han_characters(c.name) >= 4 and not c.twin))
    twin = one("twins", *population.where(lambda c: c.twin))
    pair = tuple(c for c in population.children if c.family == twin.family and c.twin)[:2]
    return Cast(
        pupil=pupil,
        other=one("other", *(c for c in middle if c.family != pupil.family)),
        teen=one("teen", *population.where(in_both, at_home, clean, lambda c: c.band(on) is AgeBand.A14_15)),
        outside=one(
            "outside",
            *population.where(
                in_both,
                clean,
                lambda c: c.county.startswith(codes.PREFIX),
                lambda c: c.school is not None and c.school.county == codes.OUTSIDE,
            ),
        ),
        left=one(
            "left",
            *population.where(
                clean, at_home, lambda c: c.known_to_civil_affairs and not c.in_programme and c.identifier is not None
            ),
        ),
        unlisted=one(
            "unlisted",
            *population.where(clean, at_home, lambda c: not c.known_to_civil_affairs and c.identifier is not None),
        ),
        without_id=one(
            "without_id",
            *population.where(lambda c: c.issued is not None and c.known_to_civil_affairs and c.known_to_education),
        ),
        twins=(pair[0], pair[-1]),
    )

"""Which children of the population the three younger systems know, and under which keys.

Rules kept here: derived from the child's number alone, so that the population stays as it is; keys of different systems have nothing in
common. Health keeps a record of every child (儿童健康档案); the 12355 platform knows callers and children of its care classes; 12338
knows families that asked for guidance.
"""

from __future__ import annotations

from adapters.sandbox.population import Child


def patient_key(child: Child) -> str:
    """The hospital's patient id."""
    return f"p{(child.number * 6151 + 77) % 99_999_989:08d}"


def client_key(child: Child) -> str:
    """The 12355 platform's client number."""
    return f"C{(child.number * 4441 + 5) % 9_999_973:07d}"


def family_key(child: Child) -> str:
    """12338's number of a guidance file."""
    return f"W{(child.number * 3571 + 9) % 9_999_943:07d}"


def known_to_health(child: Child) -> bool:
    """Every child has a health record."""
    return child.number > 0


def known_to_youth_league(child: Child) -> bool:
    """School children of the city's care classes, and whoever called."""
    return child.school is not None and (child.care is not None or child.number % 3 == 0 or child.in_programme)


def known_to_womens_federation(child: Child) -> bool:
    """Families with a guidance file."""
    return child.in_programme or child.number % 4 == 0

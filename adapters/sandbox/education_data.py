"""Education's copy of the population: records under local names, with the typing errors that its clerks made.

Rules kept here: derived from the population alone; the 学籍号 is G + citizen number (or J + ten digits), hence a direct identifier that
no exchange carries; every answer's fragments are encoded once, so that the simulated system answers from memory.
"""

from __future__ import annotations

from adapters.sandbox.population import Child, Population

Record = dict[str, str]


def records(population: Population) -> dict[str, Record]:
    """Record key -> local record, for every child that a school has registered."""
    return {c.school_key: _record(c, population) for c in population.children if c.known_to_education}


def _record(c: Child, population: Population) -> Record:
    assert c.school is not None
    identifier = population.miscopied.get(c.number, c.identifier or "")
    guardian = c.guardians[0]
    return {
        "xsbh": c.school_key,
        "xjh": f"G{c.identifier}" if c.identifier else f"J{c.number:018d}",
        "xm": population.misspelt.get(c.number, c.name),
        "xb": c.sex,
        "mz": c.ethnic,
        "csrq": f"{c.born:%Y%m%d}",
        "sfzjh": identifier,
        # Children without a number were passed on by civil affairs under the number that it issued.
        "mzbh": c.issued if c.issued and c.known_to_civil_affairs else "",
        "xxdm": c.school.code,
        "xxmc": c.school.name,
        "xxqh": c.school.county,
        "xd": c.stage,
        "nj": c.grade,
        "bh": f"{c.number % 6 + 1:02d}",
        "zxzt": c.enrolment,
        "jdfs": "2" if c.boarding else "1",
        "sfgr": "1" if c.status_class == "11" else "0",
        "sfls": "1" if c.status_class == "31" else "0",
        "sfsq": "1" if c.status_class == "32" else "0",
        "jtzz": c.address,
        "cy1xm": guardian.name,
        "cy1gx": guardian.relation,
        "cy1dh": guardian.phone,
        "gxrq": f"{c.updated:%Y%m%d}",
    }

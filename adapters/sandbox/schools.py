"""Invented schools with valid GB 32100 codes, and which child goes to which.

Rules kept here: one kindergarten, two primary, one junior and one senior school per county; a school's region is its county; one
child in fifty goes to school in another county than its home, so that "region of the record" differs by department.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from adapters.sandbox import codes

_KINDS = (("1", "幼儿园"), ("2", "第一小学"), ("2", "第二小学"), ("3", "实验初级中学"), ("4", "高级中学"))


@dataclass(frozen=True, slots=True)
class School:
    """code: GB 32100; number: ten-digit 学校标识码; stage: 1 kindergarten, 2 primary, 3 junior, 4 senior."""

    code: str
    number: str
    name: str
    county: str
    stage: str
    phone: str


def build_schools() -> tuple[School, ...]:
    """Five schools per county, always the same."""
    schools = []
    for c, (county, place) in enumerate(codes.COUNTIES.items()):
        for k, (stage, kind) in enumerate(_KINDS):
            serial = 1000 + c * 10 + k
            schools.append(
                School(
                    code=codes.social_credit_code("12", county, serial),
                    number=f"{stage}1{county}{serial % 100:02d}",
                    name=f"{place}青溪{kind}",
                    county=county,
                    stage=stage,
                    phone=f"0571-5550{serial}" if county.startswith(codes.PREFIX) else f"0574-5550{serial}",
                )
            )
    return tuple(schools)


def placement(age: int, county: str, schools: tuple[School, ...], random: Random) -> tuple[School, str, str] | None:
    """(school, stage, grade) of a child of an age; grade `11`-`13`, `21`-`26`, `31`-`33`, `41`-`43`. None: goes to none."""
    if age < 6:
        stage, grade = "1", age - 2
        if random.random() < 0.25:
            return None
    elif age < 12:
        stage, grade = "2", age - 5
    elif age < 15:
        stage, grade = "3", age - 11
    else:
        stage, grade = "4", min(age - 14, 3)
    where = random.choice([c for c in codes.COUNTIES if c != county]) if random.random() < 0.02 else county
    return random.choice([s for s in schools if s.county == where and s.stage == stage]), stage, f"{stage}{grade}"

"""Every obligation that the shipped rules give is one that the source can apply, and above the floor of its profile."""

import pytest

from gateway.domain.vocabulary import Action, Department
from gateway.release.floor import shortfall
from gateway.release.forms import form_of
from policies import expectations, obligations
from policies.book import PolicyBook
from policies.deciding import answer

BOOK = PolicyBook.open()
GRANTED = [case for case in expectations.read() if case.grants]


@pytest.mark.parametrize("exchange", sorted({case.request.obj for case in GRANTED}))
def test_every_granted_obligation_can_be_applied_at_the_source(exchange):
    found = BOOK.catalogue.exchanges[exchange]
    for case in GRANTED:
        if case.request.obj != exchange:
            continue
        for name, text in case.grants.items():
            field, obligation = found.fields[name], obligations.parse(text).obligation
            assert form_of(field.type, obligation.transform, obligation.form, field.values) is not None, (name, text)
            assert shortfall(found, field, obligation) == "", (name, text)


def test_both_ends_of_every_delivery_allow_the_same_fields():
    for case in GRANTED:
        if case.request.act != Action.SUBMIT:
            continue
        consumer = Department(case.consumer)
        receive = case.request._replace(sub=f"inbox@{consumer}", dom=str(consumer), act="receive")
        received = answer(BOOK.snapshot, receive, consumer=consumer)
        assert set(received.grants) == set(case.grants), case.name

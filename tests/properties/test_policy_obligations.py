"""Obligations only ever protect more: one more allow row never reveals more of a field that was already visible."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from policies import obligations
from policies.obligations import ObligationError, combine

TEXTS = [
    "clear",
    "clear+sealed",
    "generalise:date.month",
    "generalise:date.year",
    "generalise:region.county",
    "generalise:region.city",
    "pseudonymise",
    "mask:name.surname",
    "mask:phone.middle4+sealed",
    "answer_only",
    "answer_only:class=orphan",
    "answer_only:class=migrant",
    "suppress",
]
SOME = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6)
COARSER = {"date.month": 0, "date.year": 1, "region.county": 0, "region.city": 1}


def parsed(texts):
    return [obligations.parse(text).obligation for text in texts]


def reveals_no_more(after: Obligation, before: Obligation) -> bool:
    if before.sealed and not after.sealed:
        return False
    if after.transform is not before.transform:
        return after.transform.rank > before.transform.rank
    return after.form == before.form or COARSER.get(after.form, -1) > COARSER.get(before.form, -1)


@given(SOME, st.sampled_from(TEXTS))
def test_one_more_allow_row_never_reveals_more(texts, more):
    assert reveals_no_more(combine(parsed([*texts, more])), combine(parsed(texts)))


@given(SOME, st.randoms())
def test_order_and_repetition_do_not_matter(texts, random):
    shuffled = [*texts, *texts[:2]]
    random.shuffle(shuffled)
    assert combine(parsed(shuffled)) == combine(parsed(texts))


@given(SOME, SOME)
def test_uniting_two_ends_reveals_no_more_than_either(sender, recipient):
    united = combine([combine(parsed(sender)), combine(parsed(recipient))])
    assert reveals_no_more(united, combine(parsed(sender)))
    assert reveals_no_more(united, combine(parsed(recipient)))


def test_nothing_is_released_without_an_obligation():
    assert combine([]).transform is Transform.SUPPRESS


@given(st.text(max_size=40))
def test_what_is_not_understood_is_refused_or_written_back_the_same(text):
    try:
        row = obligations.parse(text)
    except ObligationError as unknown:
        assert len(text) < 4 or text not in str(unknown)
    else:
        assert obligations.parse(obligations.write(row)) == row

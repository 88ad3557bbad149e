"""规则: what may be shared, decided by Casbin at a cost that does not grow with the number of rules.

`catalogue/` says what can be exchanged at all, `rules/` who may have which field for which purpose, `book.PolicyBook.decide`
turns a basis into a permit. Source: DESIGN section 6; the matcher is that of `model.conf`.

Rules kept here: deny by default; Casbin decides and nothing here widens its answer; `book` alone imports Casbin.
"""

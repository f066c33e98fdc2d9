"""What totals say, and what a reader with arithmetic cannot get out of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.detail import Detail
from services.kernel.vocabulary import EntityClass
from services.ledger.totals import LEAST, Totals, counted, publishable

FEEDS = ("marac", "police-crime", "nrm")
CELLS = [(feed, str(name)) for feed in FEEDS for name in EntityClass]
tables = st.fixed_dictionaries({cell: st.sampled_from([0, 0, 0, 1, 4, 9, 10, 12, 37, 400]) for cell in CELLS})


def lines(shown: Totals) -> list[tuple[int | None, list[tuple[str, str]]]]:
    """(total, cells) of each row and column."""
    classes = sorted(shown.classes)
    return [
        *((shown.feeds[feed], [(feed, name) for name in classes]) for feed in FEEDS),
        *((shown.classes[name], [(feed, name) for feed in FEEDS]) for name in classes),
    ]


def test_a_record_counts_once_in_each_of_its_classes() -> None:
    masks = (("/a", "NATIONALITY", "r", 0, 9), ("/a", "NATIONALITY", "r", 20, 29), ("/b", "LANGUAGE", "r", 0, 9))
    made = counted([("marac", Detail(masks=masks)), ("marac", Detail()), ("nrm", Detail(masks=masks[:1]))])
    assert made == {("marac", "NATIONALITY"): 1, ("marac", "LANGUAGE"): 1, ("nrm", "NATIONALITY"): 1}


@given(tables)
def test_nothing_small_is_said_and_nothing_hidden_follows(counts: dict[tuple[str, str], int]) -> None:
    shown = publishable(counts, FEEDS)
    for cell, said in shown.cells.items():
        assert said is None or (counts[cell] >= LEAST and said % 5 == 0 and abs(said - counts[cell]) <= 2)
    for total, cells in lines(shown):
        hidden = [counts[cell] for cell in cells if shown.cells[cell] is None]
        if total is not None:
            assert total >= LEAST
            assert abs(total - sum(counts[cell] for cell in cells)) <= 2
            assert not hidden or (len(hidden) > 1 and sum(hidden) >= LEAST)


@given(tables)
def test_what_is_hidden_could_be_something_else_as_well(counts: dict[tuple[str, str], int]) -> None:
    """Linear programming's question in small: move one record between hidden cells; every shown number stays true."""
    shown = publishable(counts, FEEDS)
    small = [cell for cell, number in counts.items() if 0 < number < LEAST]
    for cell in small:
        for total, cells in lines(shown):
            if cell in cells and total is not None:
                assert any(other != cell and shown.cells[other] is None for other in cells)


def test_an_empty_table_and_one_full_of_large_numbers() -> None:
    empty = publishable({}, FEEDS)
    assert set(empty.cells.values()) == set(empty.feeds.values()) == set(empty.classes.values()) == {None}
    full = publishable(dict.fromkeys(CELLS, 101), FEEDS)
    assert set(full.cells.values()) == {100}
    assert set(full.classes.values()) == {305}


def test_a_single_small_cell_hides_another_of_its_row_and_of_its_column() -> None:
    counts = dict.fromkeys(CELLS, 100) | {CELLS[0]: 3}
    hidden = {cell for cell, said in publishable(counts, FEEDS).cells.items() if said is None}
    assert CELLS[0] in hidden
    assert len(hidden) >= 4
    for feed in FEEDS:
        assert sum(cell[0] == feed for cell in hidden) != 1

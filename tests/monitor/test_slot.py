"""The books add up whoever writes in them, and a slot keeps the newest frame."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitor.fakes import PICTURE, adds_up
from tracker.monitor.slot import Budget, Item, Ledger, Slot
from tracker.structures import Frame


def item(captured_s: float = 0.0) -> Item:
    return Item(Frame(0, 0.0, PICTURE), captured_s)


def test_the_newest_frame_is_kept_and_the_others_are_counted() -> None:
    ledger = Ledger()
    slot = Slot(ledger, lambda: 0.0)
    items = [item() for _ in range(3)]
    for each in items:
        ledger.enter(each)
        slot.put(each)
    assert slot.full
    assert slot.take(1.0) is items[2]
    assert not slot.full
    assert slot.take(1.0) is None
    assert ledger.figures() == {"captured": 3, "processed": 0, "dropped": {"late": 2}, "in_flight": 1}


@pytest.mark.parametrize(("age_s", "taken"), [(0.49, True), (0.51, False)])
def test_a_frame_has_a_limited_time(age_s: float, taken: bool) -> None:
    ledger = Ledger()
    slot = Slot(ledger, lambda: 10.0 + age_s)
    one = item(10.0)
    ledger.enter(one)
    slot.put(one)
    assert (slot.take(0.5) is one) is taken
    assert ledger.figures()["dropped"] == ({} if taken else {"stale": 1})


def test_a_frame_must_be_the_fresher_the_longer_the_way_is() -> None:
    budget = Budget(0.5)
    assert budget.max_age_s() == 0.5
    for _ in range(200):
        budget.note(0.1)
    assert budget.max_age_s() == pytest.approx(0.4, abs=1e-3)
    for number in range(200):
        budget.note(0.05 if number % 2 else 0.15)
    assert 0.28 < budget.max_age_s() < 0.32
    for _ in range(200):
        budget.note(2.0)
    assert budget.max_age_s() == pytest.approx(0.1), "the newest frames go on even so"


@given(st.lists(st.sampled_from(["enter", "process", "drop", "unseen", "all"]), max_size=60), st.randoms())
def test_captured_is_processed_and_dropped_and_in_flight(acts: list[str], chance) -> None:  # type: ignore[no-untyped-def]
    ledger, known = Ledger(), [item()]
    for act in acts:
        one = chance.choice(known)
        if act == "enter":
            known.append(item())
            ledger.enter(known[-1])
        elif act == "process":
            ledger.processed(one)
        elif act == "drop":
            ledger.drop(one, "late")
        elif act == "unseen":
            ledger.drop_unseen("behind", 2)
        else:
            ledger.drop_all("stopped")
            assert ledger.figures()["in_flight"] == 0
        assert adds_up(ledger.figures())


def test_a_frame_leaves_once_whoever_is_first() -> None:
    ledger, items = Ledger(), [item() for _ in range(500)]
    for each in items:
        ledger.enter(each)
    said: list[bool] = []
    threads = [
        threading.Thread(target=lambda act: said.extend([act(each) for each in items]), args=(act,))
        for act in (ledger.processed, lambda each: ledger.drop(each, "late"), lambda each: ledger.drop(each, "error"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(said) == 500
    figures = ledger.figures()
    assert (figures["captured"], figures["in_flight"]) == (500, 0)
    assert adds_up(figures)


def test_totals_of_an_earlier_life_are_added_and_what_was_in_flight_is_dropped() -> None:
    ledger = Ledger()
    ledger.enter(item())
    ledger.restore(10, 6, {"late": 2})
    assert ledger.figures() == {
        "captured": 11, "processed": 6, "dropped": {"late": 2, "stopped": 2}, "in_flight": 1,
    }  # fmt: skip

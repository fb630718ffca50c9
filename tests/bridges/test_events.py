"""Events that nobody asks for do not fill the memory."""

from tropism.bridges.events import KEPT_BYTES, KEPT_EVENTS, Events


def numbers(events):
    return [data for _, data in events]


def test_the_newest_are_kept():
    events = Events()
    for number in range(KEPT_EVENTS + 5):
        events.keep("tick", number, 10)
    assert numbers(events) == list(range(5, KEPT_EVENTS + 5))


def test_long_ones_are_fewer_and_the_newest_is_kept_however_long():
    events = Events()
    for number in range(10):
        events.keep("picture", number, KEPT_BYTES // 4)
    assert numbers(events) == [6, 7, 8, 9]
    events.keep("film", 10, 2 * KEPT_BYTES)
    assert numbers(events) == [10]
    events.keep("tick", 11, 1)
    assert numbers(events) == [11]


def test_what_is_taken_out_no_longer_counts():
    events = Events()
    for number in range(100):
        events.keep("picture", number, KEPT_BYTES // 4)
        assert events.popleft() == ("picture", number)
    for number in range(4):
        events.keep("picture", number, KEPT_BYTES // 4)
    assert numbers(events) == [0, 1, 2, 3]
    events.clear()
    events.keep("picture", 4, KEPT_BYTES)
    assert numbers(events) == [4]

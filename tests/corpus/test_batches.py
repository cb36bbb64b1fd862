import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.corpus.batches import iter_updates, make_batches, plan_epoch

durations = st.lists(st.floats(0.1, 40.0), min_size=1, max_size=60)


@settings(deadline=None)
@given(durations, st.floats(1.0, 100.0))
def test_batches_hold_everything_once_within_the_limit(seconds, batch_seconds):
    batches = make_batches(seconds, batch_seconds)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(seconds)))
    assert all(len(b) == 1 or len(b) * max(seconds[i] for i in b) <= batch_seconds for b in batches)


@settings(deadline=None)
@given(durations, st.integers(0, 3))
def test_an_epoch_is_a_function_of_seed_and_epoch(seconds, epoch):
    def plan(seed: int) -> list[tuple[int, ...]]:
        return [part.indices for (part,) in plan_epoch(seconds, 50.0, seed=seed, epoch=epoch, short_first=False)]

    assert plan(1) == plan(1)
    assert sorted(itertools.chain.from_iterable(plan(1))) == list(range(len(seconds)))


def test_short_first_goes_from_short_to_long():
    seconds = [float(1 + index % 20) for index in range(100)]
    plans = plan_epoch(seconds, 40.0, seed=1, epoch=0, short_first=True)
    means = [sum(seconds[i] for i in plan.indices) / len(plan.indices) for (plan,) in plans]
    assert all(later > earlier - 3 for earlier, later in itertools.pairwise(means))
    assert means[0] < 3 < 18 < means[-1]


def test_a_run_goes_on_where_it_stopped():
    seconds = [float(1 + index % 7) for index in range(30)]
    whole = list(itertools.islice(iter_updates(seconds, 20.0, seed=3, short_first_epochs=1), 25))
    (last,) = whole[10]
    rest = iter_updates(seconds, 20.0, seed=3, short_first_epochs=1, epoch=last.epoch, number=last.number + 1)
    assert list(itertools.islice(rest, 14)) == whole[11:]


@settings(deadline=None)
@given(durations, st.floats(1.0, 30.0), st.integers(1, 5), st.booleans())
def test_updates_are_cut_into_parts_within_the_limit(seconds, micro_batch_seconds, num_parts, short_first):
    updates = plan_epoch(
        seconds,
        num_parts * micro_batch_seconds,
        micro_batch_seconds=micro_batch_seconds,
        seed=1,
        epoch=0,
        short_first=short_first,
    )
    parts = list(itertools.chain.from_iterable(updates))
    assert sorted(itertools.chain.from_iterable(part.indices for part in parts)) == list(range(len(seconds)))
    # Lengths were jittered by a tenth before they were grouped.
    assert all(
        len(part.indices) == 1
        or len(part.indices) * max(seconds[i] for i in part.indices) <= micro_batch_seconds / 0.9 + 1e-6
        for part in parts
    )
    assert sorted(len(update) for update in updates)[1:] == [num_parts] * (len(updates) - 1)
    for number, update in enumerate(updates):
        assert [(part.number, part.part) for part in update] == [(number, place) for place in range(len(update))]

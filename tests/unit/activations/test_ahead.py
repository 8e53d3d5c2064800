"""The block ahead: same blocks, made in time, one at a time, and nothing left behind."""

import _thread
import contextlib
import signal
import threading
import time
import weakref
from dataclasses import replace

import pytest
import torch

from replication.activations import open_stream
from replication.activations.ahead import in_order
from replication.activations.harvest import harvest
from replication.activations.stream import Stream
from replication.artifacts import ArtifactError

CPU = torch.device("cpu")


def block(number):
    return torch.arange(6, dtype=torch.float16).view(3, 2) + 10 * number


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("block ")]


@pytest.mark.parametrize("ahead", [True, False])
def test_the_same_blocks_in_order(ahead):
    made = list(in_order(block, range(2, 6), device=CPU, ahead=ahead))
    assert [int(part[0, 0]) for part in made] == [20, 30, 40, 50] and not threads()


def test_the_next_block_is_made_while_one_is_used_and_no_further():
    begun = {number: threading.Event() for number in range(4)}

    def make(number):
        begun[number].set()
        return block(number)

    made = in_order(make, range(4), device=CPU, ahead=True)
    for number in range(3):
        next(made)
        assert begun[number + 1].wait(5)
        time.sleep(0.02)
        assert number == 2 or not begun[number + 2].is_set()
    made.close()


def test_without_it_nothing_runs_in_the_background():
    seen = []

    def make(number):
        seen.append((number, threading.current_thread() is threading.main_thread()))
        return block(number)

    made = in_order(make, range(3), device=CPU, ahead=False)
    next(made)
    assert seen == [(0, True)]


def test_an_error_is_raised_at_its_own_block():
    def make(number):
        if number == 2:
            raise ArtifactError("block 2 is not what was written")
        return block(number)

    made = in_order(make, range(4), device=CPU, ahead=True)
    assert [int(next(made)[0, 0]) for _ in range(2)] == [0, 10]
    with pytest.raises(ArtifactError, match="block 2 is not what was written"):
        next(made)
    assert not threads()


def slow(number):
    time.sleep(0.05)
    return block(number)


def test_closing_early_waits_for_the_thread():
    made = in_order(slow, range(9), device=CPU, ahead=True)
    next(made)
    assert threads()
    made.close()
    assert not threads()


def test_a_consumer_that_fails_leaves_no_thread():
    stream = Stream(d_in=2, block=3, blocks=9, read=slow, device=CPU, ahead=True)

    def consume():
        for _ in stream.batches(start=0, batch=1, steps=27):
            raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        consume()
    assert not threads()


def test_the_keyboard_interrupts_the_wait_for_a_block():
    def make(number):
        if number == 1:
            time.sleep(0.1)  # until the main thread waits
            _thread.interrupt_main()
            time.sleep(0.1)
        return block(number)

    begun = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started with interrupts ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            list(in_order(make, range(4), device=CPU, ahead=True))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 5 and not threads()


def test_two_blocks_exist_at_most():
    alive, most = set(), []

    def make(number):
        most.append(len(alive))
        made = block(number)
        alive.add(number)
        weakref.finalize(made, alive.discard, number)
        return made

    stream = Stream(d_in=2, block=3, blocks=6, read=make, device=CPU, ahead=True)
    for _ in stream.batches(start=0, batch=1, steps=18):
        assert len(alive) <= 2
    assert most == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("start", "steps", "expected"), [(0, 6, [0, 1]), (2, 1, [0]), (2, 2, [0, 1]), (4, 0, []), (5, 13, [1, 2, 3, 4, 5])])
def test_only_blocks_that_are_needed_are_made(start, steps, expected):
    asked = []

    def make(number):
        asked.append(number)
        return block(number)

    stream = Stream(d_in=2, block=3, blocks=6, read=make, device=CPU, ahead=True)
    batches = list(stream.batches(start=start, batch=1, steps=steps))
    whole = torch.cat([block(number) for number in range(6)]).float()
    assert asked == expected and torch.equal(torch.cat([torch.empty(0, 2), *batches]), whole[start : start + steps])


def test_stored_blocks_are_read_ahead_and_give_the_same_batches(tiny, world):
    stream = open_stream(tiny, model=world["model"], tokens=world["tokens"], folder=world["activations"], device=CPU)
    assert stream.ahead
    plain = replace(stream, ahead=False)
    for left, right in zip(stream.batches(start=5, batch=128, steps=27), plain.batches(start=5, batch=128, steps=27), strict=True):
        assert torch.equal(left, right)


def test_blocks_recomputed_on_a_cpu_take_no_second_thread(tiny, world, tmp_path):
    streamed = replace(tiny, activations=replace(tiny.activations, storage="streamed"))
    harvest(settings=streamed, site="mlp_act", model=world["model"], tokens=world["tokens"], out=tmp_path)
    assert not open_stream(streamed, model=world["model"], tokens=world["tokens"], folder=tmp_path, device=CPU).ahead

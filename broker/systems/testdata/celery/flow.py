"""What a program does with Celery. It is run beside a worker, and prints "fine"."""

import time

from celery import chain, chord, group, uuid
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from tasks import add, app, broken, endless, fail, flaky, note, total

WAIT = 60


def await_that(what, holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def raised(result, kind):
    """Returns the text of the exception that a task has ended with."""
    try:
        result.get(timeout=WAIT)
    except kind as e:
        return str(e)
    raise AssertionError(f"{result} did not raise {kind}")


def results():
    first = add.delay(2, 3)
    assert first.get(timeout=WAIT) == 5
    assert first.state == "SUCCESS"
    assert AsyncResult(first.id, app=app).name == "tasks.add"
    assert add.apply_async((1, 1), priority=9).get(timeout=WAIT) == 2
    many = [add.delay(n, 1) for n in range(20)]
    assert [r.get(timeout=WAIT) for r in many] == list(range(1, 21))
    first.forget()
    assert AsyncResult(first.id, app=app).state == "PENDING"


def workflows():
    assert group(add.s(n, n) for n in range(5))().get(timeout=WAIT) == [0, 2, 4, 6, 8]
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=WAIT) == 10
    assert chord((add.s(n, n) for n in range(10)), total.s())().get(timeout=WAIT) == 90
    assert chain(group(add.s(1, 1), add.s(2, 2)), total.s(), add.s(1))().get(timeout=WAIT) == 7
    assert "no" in raised(chord([add.s(1, 1), fail.s("no")], total.s())(), Exception)


def failures():
    assert raised(fail.delay("oh no"), ValueError) == "oh no"
    assert flaky.delay(2).get(timeout=WAIT) == 2
    assert "not yet" in raised(flaky.delay(9), KeyError)
    assert raised(broken.delay(), OSError) == "always"


def later():
    assert add.apply_async((4, 4), countdown=0.2).get(timeout=WAIT) == 8
    distant = add.apply_async((5, 5), countdown=3600)
    inspect = app.control.inspect(timeout=WAIT, limit=1)
    await_that("the distant task to be scheduled", lambda: distant.id in str(inspect.scheduled()))
    raised(add.apply_async((6, 6), countdown=0.1, expires=0.05), TaskRevokedError)
    cancelled = uuid()
    app.control.revoke(cancelled, reply=True, timeout=WAIT, limit=1)
    raised(add.apply_async((7, 7), task_id=cancelled), TaskRevokedError)
    running = endless.delay()
    await_that("the endless task to start", lambda: running.state == "STARTED")
    running.revoke(terminate=True)
    raised(running, TaskRevokedError)


def control():
    once = {"timeout": WAIT, "limit": 1}  # there is one worker
    [(worker, queues)] = app.control.inspect(**once).active_queues().items()
    assert [q["name"] for q in queues] == ["celery"]
    assert app.control.ping(**once)[0][worker] == {"ok": "pong"}
    assert app.control.rate_limit("tasks.note", "1000/m", reply=True, **once)[0][worker]["ok"]
    note.delay("notes")
    await_that("the note", lambda: app.backend.client.llen("notes") == 1)
    app.control.cancel_consumer("celery", reply=True, **once)
    for n in range(3):
        add.delay(n, n)
    await_that("the tasks to stay in the queue", lambda: app.backend.client.llen("celery") == 3)
    assert app.control.purge() == 3
    app.control.shutdown()


results()
workflows()
failures()
later()
control()
print("fine")

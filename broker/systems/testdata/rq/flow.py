"""What a program does with RQ. It is run beside a worker of high, default and low, with a
scheduler, and prints "fine"."""

import os
import time
from datetime import datetime, timedelta, timezone

from redis import Redis
from rq import Queue, Retry, Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import Dependency, Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry

import tasks

WAIT = 60
redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue(connection=redis)


def await_that(what, holds):
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def ended(job, status="finished"):
    await_that(f"{job.func_name}{job.args} to be {status}", lambda: job.get_status() == status)
    job.refresh()
    return job


def results():
    job = queue.enqueue(tasks.add, 2, y=3)
    assert ended(job).return_value() == 5
    assert FinishedJobRegistry(queue=queue).get_job_ids() == [job.id]
    assert 400 < redis.ttl(job.key) <= 500
    assert queue.fetch_job(job.id).return_value() == 5
    kept = queue.enqueue(tasks.add, 1, 1, result_ttl=-1, job_id="kept", meta={"by": "ann"})
    assert ended(kept).meta == {"by": "ann"} and redis.ttl(kept.key) == -1
    many = queue.enqueue_many([Queue.prepare_data(tasks.add, (n, 1)) for n in range(3)])
    assert [ended(j).return_value() for j in many] == [1, 2, 3]
    kept.delete()
    assert not Job.exists("kept", connection=redis)
    dropped = queue.enqueue(tasks.add, 1, 1, result_ttl=0)
    await_that("it to be deleted", lambda: not Job.exists(dropped.id, connection=redis))


def failures():
    registry = FailedJobRegistry(queue=queue)
    job = ended(queue.enqueue(tasks.fail, "oh no"), "failed")
    assert job.id in registry and "ValueError: oh no" in job.latest_result().exc_string
    registry.requeue(job.id)
    await_that("it to fail again", lambda: len(job.results()) == 2)
    assert ended(queue.enqueue(tasks.flaky, 2, retry=Retry(max=2))).return_value() == 3
    later = queue.enqueue(tasks.flaky, 1, retry=Retry(max=1, interval=1))  # by the scheduler
    assert ended(later).return_value() == 2
    ended(queue.enqueue(tasks.flaky, 9, retry=Retry(max=1)), "failed")
    slow = ended(queue.enqueue(tasks.endless, job_timeout=1), "failed")
    assert "JobTimeoutException" in slow.latest_result().exc_string
    called = [
        ended(queue.enqueue(tasks.add, 1, 1, on_success=tasks.succeeded)),
        ended(queue.enqueue(tasks.fail, "no", on_failure=tasks.failed), "failed"),
    ]
    await_that("both callbacks", lambda: redis.llen("callbacks") == 2)
    assert redis.lrange("callbacks", 0, -1) == [f"{called[0].id} 2".encode(), f"{called[1].id} no".encode()]


def dependencies():
    first = queue.enqueue(tasks.add, 1, 2)
    assert ended(queue.enqueue(tasks.result_of, first.id, depends_on=first)).return_value() == 30
    bad = queue.enqueue(tasks.fail, "no")
    waits = queue.enqueue(tasks.add, 1, 1, depends_on=bad)
    goes_on = queue.enqueue(tasks.add, 1, 1, depends_on=Dependency(bad, allow_failure=True))
    assert ended(goes_on).return_value() == 2
    assert waits.get_status() == "deferred"
    waits.cancel()
    assert waits.get_status() == "canceled"


def later():
    scheduled = ScheduledJobRegistry(queue=queue)
    distant = queue.enqueue_at(datetime.now(timezone.utc) + timedelta(hours=1), tasks.add, 1, 1)
    soon = queue.enqueue_in(timedelta(seconds=1), tasks.add, 2, 2)
    assert distant.id in scheduled and soon.get_status() == "scheduled"
    assert ended(soon).return_value() == 4
    assert scheduled.get_job_ids() == [distant.id]
    assert scheduled.get_scheduled_time(distant) > datetime.now(timezone.utc) + timedelta(minutes=59)
    distant.delete()
    assert scheduled.get_job_ids() == []


def order():
    running = queue.enqueue(tasks.endless)
    await_that("it to start", lambda: running.get_status() == "started")
    assert StartedJobRegistry(queue=queue).get_job_ids() == [running.id]
    names = ["low", "default", "high"]
    for name in names:
        Queue(name, connection=redis).enqueue(tasks.note, "notes", name)
    last = Queue("low", connection=redis).enqueue(tasks.note, "notes", "first of low", at_front=True)
    cancelled = queue.enqueue(tasks.note, "notes", "cancelled")
    cancelled.cancel()
    assert Queue("low", connection=redis).job_ids[0] == last.id and len(queue) == 1
    [worker] = Worker.all(queue=queue)
    assert worker.get_state() == "busy" and worker.get_current_job_id() == running.id
    send_stop_job_command(redis, running.id)
    ended(running, "stopped")
    await_that("the notes", lambda: redis.llen("notes") == 4)
    assert redis.lrange("notes", 0, -1) == [b"high", b"default", b"first of low", b"low"]


def end():
    [worker] = Worker.all(connection=redis)
    assert worker.queue_names() == ["high", "default", "low"]
    assert worker.successful_job_count >= 12 and worker.failed_job_count >= 6
    other = Queue("other", connection=redis)
    other.enqueue_many([Queue.prepare_data(tasks.add, (n, n)) for n in range(3)])
    assert other.empty() == 3 and len(other) == 0
    other.delete()
    assert "rq:queue:other" not in {q.key for q in Queue.all(connection=redis)}
    send_shutdown_command(redis, worker.name)


results()
failures()
dependencies()
later()
order()
end()
print("fine")

"""What the workers of RQ run."""

import time

from rq import get_current_job


def add(x, y):
    return x + y


def fail(text):
    raise ValueError(text)


def flaky(failures):
    """Fails so many times, which it counts in its job."""
    job = get_current_job()
    job.meta["tries"] = job.meta.get("tries", 0) + 1
    job.save_meta()
    if job.meta["tries"] <= failures:
        raise KeyError("not yet")
    return job.meta["tries"]


def result_of(job_id):
    return get_current_job().dependency.return_value() * 10


def note(key, text):
    get_current_job().connection.rpush(key, text)


def endless():
    while True:
        time.sleep(0.1)


def succeeded(job, connection, result):
    connection.rpush("callbacks", f"{job.id} {result}")


def failed(job, connection, kind, value, traceback):
    connection.rpush("callbacks", f"{job.id} {value}")

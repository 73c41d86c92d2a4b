"""An application of Celery: what its workers run."""

import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    task_track_started=True,
    result_expires=3600,
    result_extended=True,
    worker_hijack_root_logger=False,
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    if self.request.retries < failures:
        raise self.retry(exc=KeyError("not yet"), countdown=0.02)
    return self.request.retries


@app.task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 1, "countdown": 0.02})
def broken():
    raise OSError("always")


@app.task
def fail(text):
    raise ValueError(text)


@app.task
def endless():
    while True:
        time.sleep(0.1)


@app.task(rate_limit="1000/s", ignore_result=True)
def note(key):
    app.backend.client.rpush(key, "noted")

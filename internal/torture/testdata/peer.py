"""A process of an arena that calls or serves as the Python port does.

    peer.py TASK     the task is that of redrpc/internal/torture, as JSON

It writes a journal, as the other processes do, and ends when standard input says "stop".
"""

import json
import os
import random
import sys
import threading
import time

import redis

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "rpc", "testdata"))
import peer  # noqa: E402

TIMEOUT = 3  # seconds


class Journal:
    def __init__(self, task):
        name = os.path.join(task["Dir"], task["Name"] + ".journal")
        self.file = os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def add(self, *fields):
        os.write(self.file, (" ".join(map(str, fields)) + "\n").encode())


def now():
    return time.time_ns() // 1000  # microseconds


def watch(journal):
    while True:
        begun = now()
        time.sleep(0.01)
        over = now() - begun - 10_000
        if over > 10_000:
            journal.add("stall", now(), over)


def work(journal):
    def run(n, us, size, do, x):
        journal.add("run", now(), n)
        try:
            time.sleep(us / 1e6)
            if do in ("failure", "panic"):
                raise RuntimeError("as it was told to")
            return {"n": n, "x": "y" * size}
        finally:
            journal.add("ran", now(), n)

    return run


def call(task, journal, rdb, number):
    name = f"{task['Name']}-{number}"
    want = "python-failure" if random.random() < 0.03 else "result"
    journal.add("begin", now(), name, (TIMEOUT + peer.SLICE) * 1_000_000, want)
    arguments = {"n": name, "us": random.randrange(3000), "size": 0, "do": want.removeprefix("python-"), "x": ""}
    begun, kind, text = now(), "wrong", ""
    try:
        outcome = peer.call(rdb, task["Prefix"], random.choice(task["Functions"]), arguments, TIMEOUT)
        if "timeout" in outcome:
            kind = "no-result"
        elif "err" in outcome:
            kind, text = "remote", outcome["err"]
        elif outcome["res"]["n"] == name:
            kind = "result"
    except redis.RedisError as e:
        kind, text = "no-result", str(e)
    journal.add("end", now(), name, kind, json.dumps(text))
    if kind == "result":
        print("ok", begun, flush=True)


def main():
    task = json.loads(sys.argv[1])
    journal = Journal(task)
    peer.EXPIRE = task["Expiry"] // 1_000_000_000
    host, port = task["Addr"].rsplit(":", 1)
    rdb = redis.Redis(host=host, port=int(port), client_name=task["Name"])
    stopping = threading.Event()

    def listen():
        for line in sys.stdin:
            if line.strip() == "stop":
                break
        stopping.set()

    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=watch, args=(journal,), daemon=True).start()
    if task["Role"] == "python-server":
        peer.serve(rdb, task["Prefix"], {name: work(journal) for name in task["Functions"]}, stopping.is_set)
        return
    print("ready", flush=True)
    number = 0
    while not stopping.wait(random.uniform(0.02, 0.06)):
        number += 1
        call(task, journal, rdb, number)


main()

"""A peer for tests: calls and serves functions the way the Python port does.

    peer.py URL PREFIX serve     serves until it is killed; says "ready" first
    peer.py URL PREFIX call      reads calls from standard input, one JSON array
                                 [function, arguments, timeout in seconds] a line,
                                 and writes one outcome a line: {"res": value},
                                 {"err": text, "tb": text} or {"timeout": true};
                                 null for a function asks for the IDs of the servers
                                 of the kind that is in place of the arguments
"""

import datetime
import itertools
import json
import sys
import threading
import time
import traceback
import uuid

import redis

EXPIRE = 120  # seconds
SLICE = 1  # seconds, the longest that a BLPOP blocks


def timestamp():
    return datetime.datetime.now().isoformat()  # local, without a zone


def push(rdb, queue, message):
    pipe = rdb.pipeline(transaction=True)
    pipe.rpush(queue, json.dumps(message))
    pipe.expire(queue, EXPIRE)
    pipe.execute()


def call(rdb, prefix, func, kwargs, timeout):
    call_id = str(uuid.uuid4())
    push(rdb, f"{prefix}:{func}:calls", {"id": call_id, "ts": timestamp(), "kw": kwargs})
    while timeout > 0:
        popped = rdb.blpop(f"{prefix}:{func}:result:{call_id}", min(timeout, SLICE))
        if popped:
            result = json.loads(popped[1])
            if result.get("err"):
                return {"err": result["err"], "tb": result.get("err_traceback")}
            return {"res": result.get("res")}
        timeout -= SLICE
    return {"timeout": True}


def servers(rdb, prefix, kind):
    keys = rdb.scan_iter(match=f"{prefix}:{kind}:*:alive")
    return sorted(key.decode().split(":")[-2] for key in keys)


def beat(rdb, key):
    rdb.set(key, "1", ex=4)

    def loop():
        while True:
            time.sleep(2)
            rdb.set(key, "1", ex=4)

    threading.Thread(target=loop, daemon=True).start()


def serve(rdb, prefix, functions, until=lambda: False):
    beat(rdb, f"{prefix}:python:{uuid.uuid4()}:alive")
    print("ready", flush=True)  # to be found and called
    queues = sorted(f"{prefix}:{name}:calls" for name in functions)
    for turn in itertools.count():
        if until():
            return
        start = turn % len(queues)
        popped = rdb.blpop(queues[start:] + queues[:start], SLICE)
        if not popped:
            continue
        func = popped[0].decode()[len(prefix) + 1 : -len(":calls")]
        message = json.loads(popped[1])
        try:
            result = {"ts": timestamp(), "res": functions[func](**message["kw"]), "verbose": False}
            json.dumps(result)
        except Exception as e:
            result = {
                "ts": timestamp(),
                "err": f"{type(e).__name__}: {e}",
                "err_traceback": traceback.format_exc(),
            }
        push(rdb, f"{prefix}:{func}:result:{message['id']}", result)


def boom():
    raise KeyError("unknown-key")


FUNCTIONS = {
    "add": lambda a, b: a + b,
    "boom": boom,
    "echo": lambda x: x,
    "nan": lambda: float("nan"),
    "zero": lambda: 0,
}


def main():
    url, prefix, mode = sys.argv[1:]
    rdb = redis.Redis.from_url(url)
    if mode == "serve":
        serve(rdb, prefix, FUNCTIONS)
    for line in sys.stdin:
        func, kwargs, timeout = json.loads(line)
        outcome = servers(rdb, prefix, kwargs) if func is None else call(rdb, prefix, func, kwargs, timeout)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()

"""Calls a function as the Python port of redis-rpc does: peer.py URL FUNCTION [NAME=VALUE]..."""
import json
import sys
import uuid
from datetime import datetime

import redis


def call(server, function, timeout=5, prefix="redis_rpc", **arguments):
    call_id = str(uuid.uuid4())
    queue = f"{prefix}:{function}:calls"
    with server.pipeline() as transaction:
        transaction.rpush(queue, json.dumps({"id": call_id, "ts": datetime.now().isoformat(), "kw": arguments}))
        transaction.expire(queue, 120)
        transaction.execute()
    answer = server.blpop([f"{prefix}:{function}:result:{call_id}"], timeout)
    if answer is None:
        raise TimeoutError(f"{function}: no result within {timeout} s")
    result = json.loads(answer[1])
    if result.get("err"):
        raise RuntimeError(result["err"])
    return result["res"]


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    url, function, *words = sys.argv[1:]
    arguments = {name: value(text) for name, text in (word.split("=", 1) for word in words)}
    try:
        print(json.dumps(call(redis.Redis.from_url(url), function, **arguments)))
    except (RuntimeError, TimeoutError) as err:
        sys.exit(str(err))

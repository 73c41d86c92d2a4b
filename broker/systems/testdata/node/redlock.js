'use strict';
// What a program does with Redlock: it takes locks, extends, loses and awaits them.

const assert = require('node:assert/strict');
const { Redis } = require('ioredis');
const Redlock = require('redlock');
const { eventually, run, url } = require('./flow');

const redis = new Redis(url);
const locks = new Redlock([redis], { retryCount: 0 });

const held = async () => {
  const lock = await locks.lock('account', 3_600_000);
  assert.ok(await redis.pttl('account') > 3_500_000);
  await assert.rejects(locks.lock('account', 1000), { name: 'LockError' });
  const longer = await lock.extend(7_200_000);
  assert.ok(await redis.pttl('account') > 3_600_000);
  await longer.unlock();
  assert.equal(await redis.exists('account'), 0);
  await assert.rejects(longer.unlock(), { name: 'LockError' });
};

const several = async () => {
  const lock = await locks.lock(['a', 'b'], 3_600_000);
  await assert.rejects(locks.lock(['c', 'b'], 3_600_000), { name: 'LockError' });
  assert.equal(await redis.exists('c'), 0);
  await lock.unlock();
  assert.equal(await redis.dbsize(), 0);
};

const lost = async () => {
  const lock = await locks.lock('short', 3_600_000);
  await redis.pexpire('short', 1);
  await eventually('it to expire', async () => !await redis.exists('short'));
  const next = await locks.lock('short', 3_600_000);
  await assert.rejects(lock.unlock(), { name: 'LockError' });
  await assert.rejects(lock.extend(1000), { name: 'LockError' });
  assert.equal(await redis.get('short'), next.value);
  await next.unlock();
};

const awaited = async () => {
  const patient = new Redlock([redis], { retryCount: 1000, retryDelay: 10, retryJitter: 5 });
  let inside = 0;
  const turns = [];
  await Promise.all(Array.from({ length: 5 }, async (_, n) => {
    const lock = await patient.lock('turn', 60_000);
    assert.equal(++inside, 1);
    await redis.ping();
    turns.push(n);
    inside--;
    await lock.unlock();
  }));
  assert.deepEqual(turns.sort(), [0, 1, 2, 3, 4]);
};

run(held, several, lost, awaited, () => redis.quit());

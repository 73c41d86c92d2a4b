'use strict';
// What a program does with rate-limiter-flexible, over ioredis and over node-redis.

const assert = require('node:assert/strict');
const { Redis } = require('ioredis');
const { createClient } = require('redis');
const { BurstyRateLimiter, RateLimiterMemory, RateLimiterQueue, RateLimiterRedis, RateLimiterUnion } = require('rate-limiter-flexible');
const { eventually, run, url } = require('./flow');

/** The error of a limit that was reached is its state. */
const refused = (promise) => promise.then(() => assert.fail('allowed beyond the limit'), (state) => {
  if (state instanceof Error) throw state;
  return state;
});

async function limits(client, options) {
  const limiter = (more) => new RateLimiterRedis({ storeClient: client, ...options, ...more });
  const hourly = limiter({ keyPrefix: 'hourly', points: 3, duration: 3600 });
  assert.equal(await hourly.get('ann'), null);
  for (const remaining of [2, 1, 0]) {
    const state = await hourly.consume('ann');
    assert.deepEqual([state.remainingPoints, state.isFirstInDuration], [remaining, remaining === 2]);
    assert.ok(state.msBeforeNext > 3_500_000 && state.msBeforeNext <= 3_600_000);
  }
  assert.equal((await refused(hourly.consume('ann'))).consumedPoints, 4);
  assert.equal((await hourly.get('ann')).remainingPoints, 0);
  assert.equal((await hourly.reward('ann', 2)).consumedPoints, 2);
  assert.equal((await hourly.penalty('ann')).consumedPoints, 3);
  assert.equal(await hourly.delete('ann'), true);
  assert.equal((await hourly.consume('ann', 2)).remainingPoints, 1);

  const strict = limiter({ keyPrefix: 'strict', points: 1, duration: 1, blockDuration: 3600 });
  await strict.consume('bob');
  assert.ok((await refused(strict.consume('bob'))).msBeforeNext > 3_500_000);
  await hourly.block('bob', 60);
  assert.ok((await refused(hourly.consume('bob'))).msBeforeNext <= 60_000);
  await hourly.set('cid', 3, 3600);
  await refused(hourly.consume('cid'));

  const brief = limiter({ keyPrefix: 'brief', points: 1, duration: 1 });
  await brief.consume('ann');
  await refused(brief.consume('ann'));
  await eventually('the second to end', () => brief.consume('ann').then(() => true, () => false));

  const forever = limiter({ keyPrefix: 'forever', points: 2, duration: 0 });
  assert.equal((await forever.consume('ann')).msBeforeNext, -1);
  const bursty = new BurstyRateLimiter(
    limiter({ keyPrefix: 'base', points: 1, duration: 3600 }), limiter({ keyPrefix: 'burst', points: 1, duration: 3600 }));
  await bursty.consume('ann');
  await bursty.consume('ann');
  await refused(bursty.consume('ann'));
  const both = new RateLimiterUnion(limiter({ keyPrefix: 'few', points: 1, duration: 3600 }), limiter({ keyPrefix: 'many', points: 9, duration: 3600 }));
  assert.deepEqual(Object.keys(await both.consume('ann')), ['few', 'many']);
  assert.deepEqual(Object.keys(await refused(both.consume('ann'))), ['few']);
  const queue = new RateLimiterQueue(limiter({ keyPrefix: 'queue', points: 2, duration: 1 }));
  const started = Date.now();
  await Promise.all([1, 2, 3].map(() => queue.removeTokens(1, 'ann')));
  assert.ok(Date.now() - started >= 500, 'a third call did not wait for the next second');
}

/** Without a server the limits are those of the memory. */
async function insured() {
  const closed = new Redis(url, { lazyConnect: true, enableOfflineQueue: false });
  const insurance = new RateLimiterMemory({ points: 1, duration: 3600 });
  const limiter = new RateLimiterRedis({ storeClient: closed, points: 5, duration: 3600, insuranceLimiter: insurance });
  await limiter.consume('ann');
  await refused(limiter.consume('ann'));
  closed.disconnect();
}

async function overIORedis() {
  const client = new Redis(url);
  await limits(client, {});
  await client.flushdb();
  await client.quit();
}

async function overNodeRedis() {
  const client = await createClient({ url }).connect();
  await limits(client, { useRedisPackage: true });
  await client.close();
}

run(overIORedis, overNodeRedis, insured);

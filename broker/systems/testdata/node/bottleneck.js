'use strict';
// What a program does with Bottleneck: limits that several processes share.

const assert = require('node:assert/strict');
const Bottleneck = require('bottleneck');
const { Redis } = require('ioredis');
const { eventually, first, run, url } = require('./flow');

const limiters = [];

/** Returns a limiter of its own connections, as another process has it. */
async function limiter(options) {
  const l = new Bottleneck({ datastore: 'ioredis', Redis, clientOptions: url, clearDatastore: false, ...options });
  l.on('error', (error) => { throw error; });
  limiters.push(l);
  await l.ready();
  return l;
}

const concurrency = async () => {
  const [one, two] = [await limiter({ id: 'shared', maxConcurrent: 2 }), await limiter({ id: 'shared', maxConcurrent: 2 })];
  let running = 0;
  let most = 0;
  const work = async (n) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    return n;
  };
  const jobs = Array.from({ length: 10 }, (_, n) => (n % 2 ? one : two).schedule(work, n));
  assert.deepEqual(await Promise.all(jobs), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(most <= 2, `${most} jobs ran at once`);
  assert.equal(await one.clusterQueued(), 0);
  assert.equal(await two.running(), 0);
};

const reservoir = async () => {
  const stock = await limiter({ id: 'stock', reservoir: 3 });
  const done = [];
  const jobs = [1, 2, 3, 4].map((n) => stock.schedule(async () => { done.push(n); }));
  await Promise.all(jobs.slice(0, 3));
  assert.equal(await stock.currentReservoir(), 0);
  assert.deepEqual(done, [1, 2, 3]);
  assert.equal(await stock.check(), false);
  await stock.incrementReservoir(1);
  await jobs[3];
  assert.deepEqual(done, [1, 2, 3, 4]);
};

const spaced = async () => {
  const slow = await limiter({ id: 'slow', minTime: 30 });
  const started = Date.now();
  await Promise.all([1, 2, 3].map(() => slow.schedule(async () => {})));
  assert.ok(Date.now() - started >= 59, 'three jobs 30 ms apart took less than 60 ms');
};

const refuses = async () => {
  const full = await limiter({ id: 'full', maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.OVERFLOW });
  let release;
  const holding = full.schedule(() => new Promise((resolve) => { release = resolve; }));
  await eventually('the first to run', () => release);
  await assert.rejects(full.schedule(async () => {}), Bottleneck.BottleneckError);
  release();
  await holding;
};

const messages = async () => {
  const heard = [];
  limiters[1].on('message', (text) => heard.push(text));
  await limiters[0].publish('hello');
  assert.deepEqual(await first('messages', 1, heard), ['hello']);
};

const end = async () => {
  for (const l of limiters) await l.disconnect(false);
};

run(concurrency, reservoir, spaced, refuses, messages, end);

'use strict';
// What a program does with Bull.

const assert = require('node:assert/strict');
const Queue = require('bull');
const { eventually, first, heard, run, url } = require('./flow');

/** Makes queues, and closes them and what is left of them in the end. */
async function using(name, use, options) {
  const queues = [];
  const open = (more) => {
    const queue = new Queue(name, url, { settings: { backoffStrategies: { now: () => 0 } }, ...options, ...more });
    queue.setMaxListeners(0);
    queues.push(queue);
    return queue;
  };
  try {
    await use(open(), open);
  } finally {
    await queues[0].obliterate({ force: true });
    for (const queue of queues) await queue.close();
  }
}

const results = () => using('results', async (queue, open) => {
  const producer = open();
  const early = await producer.add('double', { n: 1 });
  const progress = heard(producer, 'global:progress');
  queue.process('double', 4, async (job) => {
    await job.progress(50);
    await job.log('doubling');
    return job.data.n * 2;
  });
  assert.equal(await early.finished(), 2);
  const heeded = await producer.add('double', { n: 2 }); // by now the producer listens
  assert.equal(await heeded.finished(), 4);
  assert.ok([early.id, heeded.id].includes((await progress)[0]));
  assert.deepEqual((await producer.getJobLogs(early.id)).logs, ['doubling']);
  const many = await producer.addBulk(Array.from({ length: 30 }, (_, n) => ({ name: 'double', data: { n } })));
  assert.deepEqual(await Promise.all(many.map((job) => job.finished())), many.map((job) => job.data.n * 2));
  assert.deepEqual(await producer.getJobCounts(), { waiting: 0, active: 0, completed: 32, failed: 0, delayed: 0, paused: 0 });
  assert.equal((await producer.clean(0, 'completed', 10)).length, 10);
  assert.equal(await producer.getCompletedCount(), 22);
  const brief = await producer.add('double', { n: 4 }, { removeOnComplete: true });
  await eventually('it to be removed', async () => await producer.getJob(brief.id) === null);
});

const failures = () => using('failures', async (queue, open) => {
  const producer = open();
  queue.process(async (job) => {
    if (job.data.discard) await job.discard();
    if (job.attemptsMade < job.data.failures) throw new Error(`failure ${job.attemptsMade}`);
    return `after ${job.attemptsMade}`;
  });
  const flaky = await producer.add({ failures: 2 }, { attempts: 3, backoff: 10 });
  assert.equal(await flaky.finished(), 'after 2');
  const custom = await producer.add({ failures: 1 }, { attempts: 2, backoff: { type: 'now' } });
  assert.equal(await custom.finished(), 'after 1');
  const fails = await producer.add({ failures: 2 }, { attempts: 2 });
  await assert.rejects(fails.finished(), /failure 1/);
  const discarded = await producer.add({ failures: 9, discard: true }, { attempts: 5 });
  await assert.rejects(discarded.finished(), /failure 0/);
  const failed = await producer.getFailed();
  assert.deepEqual(failed.map((job) => [job.id, job.failedReason]), [[discarded.id, 'failure 0'], [fails.id, 'failure 1']]);
  await failed[1].retry();
  await eventually('it to succeed', async () => (await producer.getJob(fails.id)).returnvalue === 'after 2');
  const slow = await producer.add({ failures: 0 }, { timeout: 60_000 });
  assert.equal(await slow.finished(), 'after 0');
});

const later = () => using('later', async (queue, open) => {
  const producer = open();
  const done = [];
  queue.process('*', async (job) => { done.push(job.name); });
  const distant = await producer.add('distant', {}, { delay: 3_600_000 });
  const soon = await producer.add('soon', {}, { delay: 50 });
  await soon.finished();
  assert.deepEqual((await producer.getDelayed()).map((job) => job.id), [distant.id]);
  await distant.promote();
  await first('jobs', 2, done);
  await producer.add('tick', {}, { repeat: { every: 60 } });
  await first('jobs', 4, done);
  const [repeatable] = await producer.getRepeatableJobs();
  assert.equal(repeatable.name, 'tick');
  await producer.removeRepeatableByKey(repeatable.key);
  await producer.add('nightly', {}, { repeat: { cron: '0 3 * * *', tz: 'UTC' } });
  assert.equal(new Date((await producer.getRepeatableJobs())[0].next).getUTCHours(), 3);
  assert.deepEqual(done.slice(0, 4), ['soon', 'distant', 'tick', 'tick']);
});

const order = () => using('order', async (queue, open) => {
  const producer = open();
  await producer.pause();
  for (const [name, options] of [['plain', {}], ['low', { priority: 9 }], ['high', { priority: 1 }], ['last in', { lifo: true }]]) {
    await producer.add(name, {}, options);
  }
  assert.equal((await producer.add('same', {}, { jobId: 'same' })).id, 'same');
  await producer.add('same', {}, { jobId: 'same' });
  assert.equal(await producer.getPausedCount(), 5);
  const done = [];
  queue.process('*', async (job) => { done.push(job.name); });
  await producer.resume();
  assert.deepEqual(await first('jobs', 5, done), ['last in', 'high', 'low', 'plain', 'same']);
});

const limits = () => using('limits', async (queue, open) => {
  const done = [];
  queue.process(async (job) => { done.push(job.data.n); });
  const started = Date.now();
  await open().addBulk(Array.from({ length: 5 }, (_, n) => ({ data: { n } })));
  await first('jobs', 5, done);
  assert.ok(Date.now() - started >= 390, 'five jobs, two in 200 ms, took less than 400 ms');
}, { limiter: { max: 2, duration: 200 } });

/** A worker that dies: its job is taken by another when its lock has expired. */
const stalled = () => using('stalled', async (queue, open) => {
  const job = await queue.add({});
  assert.equal((await queue.getNextJob()).id, job.id);
  assert.equal(await job.getState(), 'active');
  const other = open({ settings: { stalledInterval: 60 } });
  const found = heard(other, 'stalled');
  other.process(async () => 'done');
  assert.equal((await found)[0].id, job.id);
  await eventually('it to be done', async () => (await queue.getJob(job.id)).returnvalue === 'done');
}, { settings: { lockDuration: 60, lockRenewTime: 3_600_000 } });

run(results, failures, later, order, limits, stalled);

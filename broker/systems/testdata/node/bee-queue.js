'use strict';
// What a program does with Bee-Queue.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const Queue = require('bee-queue');
const { eventually, first, heard, run, url } = require('./flow');

/** Makes a queue to produce, and others to work, and closes them in the end. */
async function using(name, use) {
  const queues = [];
  const open = async (options) => {
    const queue = new Queue(name, { redis: { url }, activateDelayedJobs: true, nearTermWindow: 1000, delayedDebounce: 10, ...options });
    queues.push(queue);
    return queue.ready();
  };
  const producer = await open({ isWorker: false });
  try {
    await use(producer, open);
  } finally {
    for (const queue of queues.slice(1)) await queue.close();
    await producer.destroy();
    await producer.close();
  }
}

const results = () => using('results', async (producer, open) => {
  const worker = await open();
  const early = producer.createJob({ n: 1 });
  const [done, progress] = [heard(early, 'succeeded'), heard(early, 'progress')];
  await early.save();
  worker.process(4, async (job) => {
    job.reportProgress(50);
    return job.data.n * 2;
  });
  assert.deepEqual(await progress, [50]);
  assert.deepEqual(await done, [2]);
  const many = Array.from({ length: 30 }, (_, n) => producer.createJob({ n }));
  const all = many.map((job) => heard(job, 'succeeded'));
  assert.equal((await producer.saveAll(many)).size, 0);
  assert.deepEqual((await Promise.all(all)).flat(), many.map((job) => job.data.n * 2));
  const health = await eventually('all to be counted', async () => {
    const health = await producer.checkHealth();
    return health.succeeded === 31 && health;
  });
  assert.deepEqual([health.waiting, health.active, health.failed, health.newestJob], [0, 0, 0, 31]);
  assert.equal((await producer.getJobs('succeeded', { size: 100 })).length, 31);
  const named = await producer.createJob({ n: 5 }).setId('named').save();
  assert.equal((await producer.createJob({ n: 5 }).setId('named').save()).id, null);
  await eventually('it to succeed', async () => (await producer.getJob('named'))?.status === 'succeeded');
  await producer.removeJob(named.id);
  assert.equal(await producer.getJob('named'), null);
});

const failures = () => using('failures', async (producer, open) => {
  const worker = await open();
  const attempts = {};
  worker.process(async (job) => {
    attempts[job.data.name] = (attempts[job.data.name] ?? 0) + 1;
    if (attempts[job.data.name] <= job.data.failures) throw new Error(`failure ${attempts[job.data.name]}`);
    return 'at last';
  });
  const flaky = producer.createJob({ name: 'flaky', failures: 2 }).retries(2).backoff('fixed', 20);
  const [retrying, succeeded] = [heard(flaky, 'retrying'), heard(flaky, 'succeeded')];
  await flaky.save();
  assert.equal((await retrying)[0].message, 'failure 1');
  assert.deepEqual(await succeeded, ['at last']);
  const fails = producer.createJob({ name: 'fails', failures: 9 }).retries(1);
  const failed = heard(fails, 'failed');
  await fails.save();
  assert.equal((await failed)[0].message, 'failure 2');
  assert.equal(await fails.isInSet('failed'), true);
  assert.equal((await producer.checkHealth()).failed, 1);
  assert.equal((await producer.getJobs('failed', { size: 10 }))[0].id, fails.id);
});

const later = () => using('later', async (producer, open) => {
  const done = [];
  const distant = await producer.createJob({ name: 'distant' }).delayUntil(Date.now() + 3_600_000).save();
  await producer.createJob({ name: 'later' }).delayUntil(Date.now() + 120).save();
  await producer.createJob({ name: 'soon' }).delayUntil(Date.now() + 60).save();
  assert.equal((await producer.checkHealth()).delayed, 3);
  (await open()).process(async (job) => { done.push(job.data.name); });
  assert.deepEqual(await first('jobs', 2, done), ['soon', 'later']);
  assert.deepEqual((await producer.getJobs('delayed', { start: 0, end: 9 })).map((job) => job.id), [distant.id]);
});

/** A worker that is killed: its job is taken by another, which finds that it has stalled. */
const stalled = () => using('stalled', async (producer, open) => {
  const dying = fork(__filename, ['dying']);
  const started = heard(dying, 'message');
  const job = await producer.createJob({}).save();
  assert.deepEqual((await started)[0], job.id);
  dying.kill('SIGKILL');
  await heard(dying, 'exit');
  const worker = await open({ stallInterval: 50 });
  worker.process(async () => 'done');
  await eventually('it to be found, and done', async () => {
    await worker.checkStalledJobs();
    return (await producer.getJob(job.id)).status === 'succeeded';
  });
});

if (process.argv[2] === 'dying') {
  new Queue('stalled', { redis: { url }, stallInterval: 50 }).process((job) => {
    process.send(job.id);
    return new Promise(() => {});
  });
} else {
  run(results, failures, later, stalled);
}

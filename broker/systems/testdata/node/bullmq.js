'use strict';
// What a program does with BullMQ, over the client that is named as its argument.

const assert = require('node:assert/strict');
const { DelayedError, FlowProducer, Job, Queue, QueueEvents, UnrecoverableError, WaitingChildrenError, Worker } = require('bullmq');
const { eventually, first, heard, run, url } = require('./flow');

const clients = [];

/** Returns the options of a connection, of which the flow closes the client. */
async function connection() {
  let client;
  if (process.argv[2] === 'redis') {
    client = require('redis').createClient({ url });
    await client.connect();
  } else {
    const { Redis } = require('ioredis');
    client = new Redis(url, { maxRetriesPerRequest: null });
  }
  clients.push(client);
  return client;
}

/** Starts a queue and what belongs to it, and closes all in the end. */
async function using(name, use) {
  const shared = await connection();
  const queue = new Queue(name, { connection: shared });
  const events = new QueueEvents(name, { connection: shared });
  queue.setMaxListeners(0);
  await events.waitUntilReady();
  const workers = [];
  const work = async (process, options) => {
    const worker = new Worker(name, process, { connection: shared, drainDelay: 1, ...options });
    workers.push(worker);
    await worker.waitUntilReady();
    return worker;
  };
  try {
    await use(queue, events, work);
  } finally {
    for (const worker of workers) await worker.close();
    await events.close();
    await queue.obliterate({ force: true });
    await queue.close();
  }
}

const results = () => using('results', async (queue, events, work) => {
  const early = await queue.add('double', { n: 1 });
  assert.equal(await early.getState(), 'waiting');
  const progress = [];
  events.on('progress', ({ jobId, data }) => progress.push([jobId, data]));
  await work(async (job) => {
    await job.updateProgress(50);
    await job.log('doubling');
    return job.data.n * 2;
  }, { concurrency: 4, metrics: { maxDataPoints: 60 } });
  assert.equal(await early.waitUntilFinished(events), 2);
  const many = await queue.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: 'double', data: { n } })));
  assert.deepEqual(await Promise.all(many.map((job) => job.waitUntilFinished(events))), many.map((job) => job.data.n * 2));
  assert.deepEqual((await first('progress', 1, progress))[0], [early.id, 50]);
  assert.deepEqual((await queue.getJobLogs(early.id)).logs, ['doubling']);
  assert.deepEqual(await queue.getJobCounts('completed', 'failed', 'active', 'waiting'), { completed: 51, failed: 0, active: 0, waiting: 0 });
  assert.equal((await queue.getMetrics('completed')).meta.count, 51);
  assert.equal((await queue.getJob(many[7].id)).returnvalue, 14);
  assert.equal((await queue.clean(0, 20, 'completed')).length, 20);
  assert.equal(await queue.getCompletedCount(), 31);
  const gone = await queue.add('double', { n: 4 }, { removeOnComplete: true });
  await gone.waitUntilFinished(events);
  assert.equal(await queue.getJob(gone.id), undefined);
  const kept = await queue.add('double', { n: 4 }, { removeOnComplete: { count: 3 } });
  await kept.waitUntilFinished(events);
  assert.equal(await queue.getCompletedCount(), 3);
});

const failures = () => using('failures', async (queue, events, work) => {
  await work(async (job) => {
    if (job.name === 'hopeless') throw new UnrecoverableError('no way');
    if (job.name === 'later' && job.attemptsStarted === 1) {
      await job.moveToDelayed(Date.now() + 20, job.token);
      throw new DelayedError();
    }
    if (job.attemptsMade < job.data.failures) throw new Error(`failure ${job.attemptsMade}`);
    return `after ${job.attemptsMade}`;
  }, { concurrency: 4 });
  const failed = heard(events, 'failed');
  const flaky = await queue.add('flaky', { failures: 2 }, { attempts: 3, backoff: { type: 'exponential', delay: 10 } });
  assert.equal(await flaky.waitUntilFinished(events), 'after 2');
  const fails = await queue.add('fails', { failures: 9 }, { attempts: 2, backoff: 10 });
  await assert.rejects(fails.waitUntilFinished(events), /failure 1/);
  assert.equal((await failed)[0].failedReason, 'failure 1');
  const hopeless = await queue.add('hopeless', {}, { attempts: 5 });
  await assert.rejects(hopeless.waitUntilFinished(events), /no way/);
  assert.equal(await (await queue.add('later', { failures: 0 })).waitUntilFinished(events), 'after 0');

  const [last, before] = await queue.getFailed();
  assert.deepEqual([last.id, before.id, before.attemptsMade], [hopeless.id, fails.id, 2]);
  assert.equal(before.stacktrace.length, 2);
  await before.updateData({ failures: 1 });
  const again = heard(events, 'completed');
  await before.retry('failed', { resetAttemptsMade: true });
  assert.deepEqual((await again)[0], { jobId: fails.id, returnvalue: 'after 1', prev: 'active' });
  await queue.retryJobs({ state: 'failed' });
  await eventually('the hopeless one to fail again', async () => await queue.getFailedCount() === 1 && (await queue.getJobCounts('wait', 'active')).active === 0);
});

const later = () => using('later', async (queue, events, work) => {
  const order = [];
  const distant = await queue.add('distant', {}, { delay: 3_600_000 });
  const promoted = await queue.add('promoted', {}, { delay: 3_600_000 });
  const moved = await queue.add('moved', {}, { delay: 3_600_000 });
  const soon = await queue.add('soon', {}, { delay: 50 });
  assert.equal(await soon.getState(), 'delayed');
  await work(async (job) => { order.push(job.name); });
  await soon.waitUntilFinished(events);
  await promoted.promote();
  await promoted.waitUntilFinished(events);
  await moved.changeDelay(30);
  await moved.waitUntilFinished(events);
  assert.deepEqual(order, ['soon', 'promoted', 'moved']);
  assert.deepEqual((await queue.getDelayed()).map((job) => job.id), [distant.id]);
  await distant.remove();

  await queue.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { of: 'clock' } });
  await eventually('two ticks', () => order.filter((name) => name === 'tick').length >= 2);
  assert.equal((await queue.getJobSchedulers())[0].every, 100);
  assert.equal(await queue.removeJobScheduler('tick'), true);
  await queue.upsertJobScheduler('nightly', { pattern: '0 3 * * *', tz: 'UTC' }, { name: 'nightly' });
  const nightly = await queue.getJobScheduler('nightly');
  assert.equal(new Date(nightly.next).getUTCHours(), 3);
  assert.equal(await queue.getJobSchedulersCount(), 1);
  await queue.drain(true);
});

const order = () => using('order', async (queue, events, work) => {
  await queue.pause();
  assert.equal(await queue.isPaused(), true);
  for (const [name, options] of [['plain', {}], ['low', { priority: 9 }], ['high', { priority: 1 }], ['middle', { priority: 5 }], ['last in', { lifo: true }]]) {
    await queue.add(name, {}, options);
  }
  assert.deepEqual(await queue.getCountsPerPriority([0, 1, 5]), { 0: 2, 1: 1, 5: 1 });
  const [low] = (await queue.getPrioritized()).filter((job) => job.name === 'low');
  await low.changePriority({ priority: 2 });
  const done = [];
  await work(async (job) => { done.push(job.name); });
  await queue.resume();
  assert.deepEqual(await first('jobs', 5, done), ['last in', 'plain', 'high', 'low', 'middle']);
  const once = await queue.add('once', {}, { jobId: 'once' });
  await once.waitUntilFinished(events);
  assert.equal((await queue.add('once', {}, { jobId: 'once' })).id, 'once');
  const duplicate = heard(events, 'deduplicated');
  const original = await queue.add('mail', {}, { deduplication: { id: 'ann', ttl: 3_600_000 } });
  assert.equal((await queue.add('mail', {}, { deduplication: { id: 'ann', ttl: 3_600_000 } })).id, original.id);
  assert.equal((await duplicate)[0].deduplicationId, 'ann');
  assert.equal(await queue.getDeduplicationJobId('ann'), original.id);
  await first('jobs', 7, done);
  assert.deepEqual(done.slice(5), ['once', 'mail']);
});

const limits = () => using('limits', async (queue, events, work) => {
  const done = [];
  await work(async (job) => { done.push(job.data.n); }, { limiter: { max: 3, duration: 300 }, concurrency: 3 });
  const started = Date.now();
  await queue.addBulk(Array.from({ length: 7 }, (_, n) => ({ name: 'limited', data: { n } })));
  await first('jobs', 7, done);
  assert.ok(Date.now() - started >= 590, 'seven jobs, three in 300 ms, took less than 600 ms');
  await queue.setGlobalConcurrency(1);
  assert.equal(await queue.getGlobalConcurrency(), 1);
  await queue.rateLimit(3_600_000);
  assert.ok(await queue.getRateLimitTtl() > 3_500_000);
  await queue.removeRateLimitKey();
});

const flows = () => using('flows', async (queue, events, work) => {
  const producer = new FlowProducer({ connection: await connection() });
  try {
    const tree = await producer.add({
      name: 'sum', queueName: 'flows',
      children: [1, 2, 3].map((n) => ({ name: 'number', queueName: 'flows', data: { n } })),
    });
    assert.equal(await tree.job.getState(), 'waiting-children');
    assert.equal((await tree.job.getDependenciesCount()).unprocessed, 3);
    await work(async (job, token) => {
      switch (job.name) {
        case 'number':
          return job.data.n;
        case 'sum':
          return Object.values(await job.getChildrenValues()).reduce((sum, n) => sum + n, 0);
        case 'grows':
          if (!job.data.grown) {
            await queue.add('number', { n: 7 }, { parent: { id: job.id, queue: job.queueQualifiedName } });
            await job.updateData({ grown: true });
          }
          if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
          return Object.values(await job.getChildrenValues())[0];
      }
      throw new Error('broken');
    }, { concurrency: 4 });
    assert.equal(await tree.job.waitUntilFinished(events), 6);
    assert.equal((await producer.getFlow({ id: tree.job.id, queueName: 'flows' })).children.length, 3);
    assert.equal(await (await queue.add('grows', {})).waitUntilFinished(events), 7);
    const failing = await producer.add({
      name: 'sum', queueName: 'flows',
      children: [{ name: 'broken', queueName: 'flows', opts: { failParentOnFailure: true } }],
    });
    await assert.rejects(failing.job.waitUntilFinished(events), /child .* failed/);
    const ignoring = await producer.add({
      name: 'sum', queueName: 'flows',
      children: [{ name: 'broken', queueName: 'flows', opts: { ignoreDependencyOnFailure: true } }, { name: 'number', queueName: 'flows', data: { n: 5 } }],
    });
    assert.equal(await ignoring.job.waitUntilFinished(events), 5);
    assert.deepEqual(Object.values(await ignoring.job.getIgnoredChildrenFailures()), ['broken']);
  } finally {
    await producer.close();
  }
});

/** A worker that dies: its jobs are taken by another when their locks have expired. */
const stalled = () => using('stalled', async (queue, events, work) => {
  const job = await queue.add('lost', {});
  const dead = new Worker('stalled', null, { connection: await connection(), lockDuration: 50 });
  assert.equal((await dead.getNextJob('token')).id, job.id);
  assert.equal(await job.getState(), 'active');
  await dead.close();
  const found = heard(events, 'stalled');
  await work(async () => 'done', { stalledInterval: 60 });
  assert.deepEqual((await found)[0], { jobId: job.id });
  await eventually('it to be done', async () => (await Job.fromId(queue, job.id)).returnvalue === 'done');
});

const inspecting = () => using('inspecting', async (queue, events, work) => {
  const worker = await work(async () => {}, { name: 'clerk' });
  const drained = heard(events, 'drained');
  await queue.add('one', {});
  await drained;
  await eventually('the worker to be listed', async () => (await queue.getWorkers()).some((w) => w.rawname?.endsWith(':w:clerk')));
  assert.match(await queue.exportPrometheusMetrics(), /bullmq_job_count\{queue="inspecting", state="completed"\} 1/);
  await worker.pause();
  await queue.add('two', {});
  assert.deepEqual((await queue.getJobs(['wait', 'completed'])).map((job) => job.name).sort(), ['one', 'two']);
  await queue.trimEvents(0);
  worker.resume();
  await eventually('the second job', async () => await queue.getCompletedCount() === 2);
  await queue.drain();
});

const nothingLeft = async () => {
  const client = await connection();
  assert.deepEqual(await client.keys('*'), []);
  for (const c of clients) await c.quit();
};

run(results, failures, later, order, limits, flows, stalled, inspecting, nothingLeft);

'use strict';
// What a program does with ioredis, over the version of the protocol that is named as its
// argument.

const assert = require('node:assert/strict');
const { Redis } = require('ioredis');
const { eventually, first, heard, run, url } = require('./flow');

const protocol = Number(process.argv[2]);
const clients = [];

function connect(options) {
  const client = new Redis(url, { protocol, ...options });
  clients.push(client);
  return client;
}

const redis = connect({ connectionName: 'flow' });

const values = async () => {
  assert.equal(await redis.client('GETNAME'), 'flow');
  assert.equal(await redis.set('text', 'žluťoučký', 'EX', 3600, 'NX'), 'OK');
  assert.equal(await redis.set('text', 'other', 'NX'), null);
  assert.equal(await redis.set('text', 'kůň', 'KEEPTTL', 'GET'), 'žluťoučký');
  assert.ok(await redis.ttl('text') > 3500);
  await redis.set('bytes', Buffer.from([0, 255, 13, 10]));
  assert.deepEqual(await redis.getBuffer('bytes'), Buffer.from([0, 255, 13, 10]));
  assert.equal(await redis.incrbyfloat('float', '1.5'), '1.5');
  await redis.hset('hash', { one: 1, two: 2 });
  assert.deepEqual(await redis.hgetall('hash'), { one: '1', two: '2' });
  await redis.hset('map', new Map([['k', 'v']]));
  assert.deepEqual(await redis.hmget('map', 'k', 'none'), ['v', null]);
  await redis.mset({ a: 1, b: 2 });
  assert.deepEqual(await redis.mget('a', 'b', 'none'), ['1', '2', null]);
  await redis.zadd('scores', 1, 'ann', 2.5, 'bob', '+inf', 'cid');
  assert.deepEqual(await redis.zrange('scores', 0, -1, 'WITHSCORES'), ['ann', '1', 'bob', '2.5', 'cid', 'inf']);
  assert.deepEqual(await redis.zrangebyscore('scores', '(1', '+inf', 'LIMIT', 0, 1), ['bob']);
  await redis.sadd('set', [1, 2, 3]);
  assert.equal(await redis.scard('set'), 3);
  await assert.rejects(redis.incr('hash'), /^ReplyError: WRONGTYPE Operation/);
  await assert.rejects(redis.call('INCRBY', 'a', 'x'), /not an integer or out of range/);
};

const scans = async () => {
  await redis.mset(Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`scan:${n}`, n])));
  const found = new Set();
  for await (const keys of redis.scanStream({ match: 'scan:*', count: 10 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 100);
  const fields = [];
  for await (const page of redis.hscanStream('hash')) fields.push(...page);
  assert.deepEqual(fields, ['one', '1', 'two', '2']);
  const members = [];
  for await (const page of redis.zscanStream('scores', { match: 'b*' })) members.push(...page);
  assert.deepEqual(members, ['bob', '2.5']);
};

const transactions = async () => {
  const replies = await redis.pipeline().set('p', 1).incr('p').hget('p', 'field').get('p').exec();
  assert.deepEqual(replies.map(([error, reply]) => error?.message.split(' ')[0] ?? reply), ['OK', 2, 'WRONGTYPE', '2']);
  assert.deepEqual(await redis.multi().incr('p').get('p').exec(), [[null, 3], [null, '3']]);
  const other = connect();
  await redis.watch('p');
  await other.set('p', 10);
  assert.equal(await redis.multi().incr('p').exec(), null);
  await redis.multi({ pipeline: false });
  assert.equal(await redis.incr('p'), 'QUEUED');
  assert.deepEqual(await redis.exec(), [[null, 11]]);
  const auto = connect({ enableAutoPipelining: true });
  assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => auto.incr('auto'))), Array.from({ length: 20 }, (_, n) => n + 1));
};

const scripts = async () => {
  redis.defineCommand('both', { numberOfKeys: 2, lua: 'return {redis.call("get", KEYS[1]), redis.call("get", KEYS[2]), ARGV[1]}' });
  assert.deepEqual(await redis.both('a', 'b', 'c'), ['1', '2', 'c']);
  await redis.script('FLUSH');
  assert.deepEqual(await redis.both('a', 'b', 'c'), ['1', '2', 'c']);
  const sha = await redis.script('LOAD', 'return redis.error_reply("MINE it is")');
  await assert.rejects(redis.evalsha(sha, 0), /MINE it is/);
};

const functions = async () => {
  const library = '#!lua name=shop\nredis.register_function("price", function(keys, args) return redis.call("hget", keys[1], args[1]) end)';
  assert.equal(await redis.function('LOAD', 'REPLACE', library), 'shop');
  await redis.hset('prices', { tea: 3 });
  assert.equal(await redis.fcall('price', 1, 'prices', 'tea'), '3');
  assert.equal((await redis.function('LIST')).length, 1);
  await redis.function('DELETE', 'shop');
  await assert.rejects(redis.fcall('price', 1, 'prices', 'tea'), /Function not found/);
};

const streams = async () => {
  const id = await redis.xadd('events', '*', 'kind', 'sale', 'n', 1);
  const news = connect().xread('BLOCK', 0, 'STREAMS', 'events', '$');
  await eventually('it to wait', async () => /blocked_clients:1/.test(await redis.info('clients')));
  const next = await redis.xadd('events', 'MAXLEN', '~', 1000, '*', 'kind', 'return');
  assert.deepEqual(reply(await news), [['events', [[next, ['kind', 'return']]]]]);
  assert.deepEqual(await redis.xrange('events', '-', '+'), [[id, ['kind', 'sale', 'n', '1']], [next, ['kind', 'return']]]);
  await redis.xgroup('CREATE', 'events', 'clerks', '0');
  const taken = await redis.xreadgroup('GROUP', 'clerks', 'ann', 'COUNT', 1, 'STREAMS', 'events', '>');
  assert.equal(reply(taken)[0][1][0][0], id);
  assert.deepEqual(await redis.xpending('events', 'clerks'), [1, id, id, [['ann', '1']]]);
  const [, claimed] = await redis.xautoclaim('events', 'clerks', 'bob', 0, '0');
  assert.equal(claimed[0][0], id);
  assert.equal(await redis.xack('events', 'clerks', id), 1);
};

/** RESP3 has a map of streams, RESP2 pairs. */
const reply = (streams) => Array.isArray(streams) ? streams : Object.entries(streams);

const estimatesAndPlaces = async () => {
  await redis.pfadd('visitors', 'ann', 'bob', 'ann');
  assert.equal(await redis.pfcount('visitors'), 2);
  await redis.geoadd('cities', 14.42, 50.08, 'Prague', 16.61, 49.19, 'Brno');
  assert.deepEqual(await redis.geosearch('cities', 'FROMLONLAT', 14.4, 50, 'BYRADIUS', 50, 'km', 'ASC'), ['Prague']);
  assert.equal(Math.round(await redis.geodist('cities', 'Prague', 'Brno', 'km')), 186);
};

const messages = async () => {
  const subscriber = connect();
  const heardMessages = [];
  subscriber.on('message', (channel, message) => heardMessages.push([channel, message]));
  subscriber.on('pmessage', (pattern, channel, message) => heardMessages.push([pattern, channel, message]));
  subscriber.on('smessage', (channel, message) => heardMessages.push(['shard', channel, message]));
  assert.equal(await subscriber.subscribe('news', 'sport'), 2);
  assert.equal(await subscriber.psubscribe('new*'), 3);
  assert.equal(await subscriber.ssubscribe('shard'), 1);
  assert.equal(await redis.publish('news', 'hello'), 2);
  assert.equal(await redis.spublish('shard', 'hello'), 1);
  assert.deepEqual(await first('messages', 3, heardMessages), [['news', 'hello'], ['new*', 'news', 'hello'], ['shard', 'shard', 'hello']]);
  assert.deepEqual(await redis.pubsub('NUMSUB', 'news', 'none'), ['news', 1, 'none', 0]);
  await subscriber.unsubscribe('news', 'sport');
  await subscriber.punsubscribe('new*');
  await subscriber.sunsubscribe('shard');
  assert.equal(await subscriber.ping(), 'PONG');
};

const waiting = async () => {
  const worker = connect();
  const popped = worker.brpop('jobs', 'urgent', 0);
  const moved = connect().blmove('jobs', 'done', 'LEFT', 'RIGHT', 0);
  const least = connect().bzpopmin('ranked', 0);
  await eventually('all to wait', async () => /blocked_clients:3/.test(await redis.info('clients')));
  await redis.rpush('urgent', 'one');
  assert.deepEqual(await popped, ['urgent', 'one']);
  await redis.rpush('jobs', 'two');
  assert.equal(await moved, 'two');
  await redis.zadd('ranked', 2, 'low', 1, 'high');
  assert.deepEqual(await least, ['ranked', 'high', '1']);
  assert.equal(await worker.blpop('jobs', 0.01), null);
};

/** A connection that is lost is made again, with its name, database and subscriptions. */
const reconnecting = async () => {
  const lost = connect({ db: 3, connectionName: 'lost', retryStrategy: () => 1 });
  const subscriber = connect({ connectionName: 'ear', retryStrategy: () => 1 });
  await lost.set('here', 1);
  await subscriber.subscribe('news');
  for (const client of [lost, subscriber]) {
    const [, id] = (await redis.client('LIST')).match(new RegExp(`id=(\\d+).* name=${client.options.connectionName} `));
    const back = heard(client, 'ready');
    assert.equal(await redis.client('KILL', 'ID', id), 1);
    await back;
  }
  assert.equal(await lost.get('here'), '1');
  assert.equal(await lost.client('GETNAME'), 'lost');
  const message = heard(subscriber, 'message');
  await eventually('the subscription to be renewed', async () => await redis.publish('news', 'again') === 1);
  assert.deepEqual(await message, ['news', 'again']);
};

const watching = async () => {
  const monitor = await connect().monitor();
  const seen = [];
  monitor.on('monitor', (time, args) => seen.push(args));
  await redis.set('seen', 1);
  assert.deepEqual(await first('commands', 1, seen), [['set', 'seen', '1']]);
  monitor.disconnect();
};

const end = async () => {
  await redis.flushall();
  for (const client of clients) client.disconnect();
};

run(values, scans, transactions, scripts, functions, streams, estimatesAndPlaces, messages, waiting, reconnecting, watching, end);

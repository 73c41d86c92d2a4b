'use strict';
// What a program does with node-redis, over the version of the protocol that is named as
// its argument.

const assert = require('node:assert/strict');
const { BasicClientSideCache, createClient, createClientPool, defineScript, ErrorReply, RESP_TYPES, WatchError } = require('redis');
const { eventually, first, heard, run, url } = require('./flow');

const RESP = Number(process.argv[2]);
const clients = [];

async function connect(options) {
  const client = createClient({ url, RESP, ...options });
  client.on('error', () => {}); // of those whose connections are killed; commands fail by themselves
  clients.push(client);
  return client.connect();
}

let redis;

const values = async () => {
  redis = await connect({
    name: 'flow',
    scripts: { both: defineScript({
      NUMBER_OF_KEYS: 2,
      SCRIPT: 'return {redis.call("get", KEYS[1]), redis.call("get", KEYS[2]), ARGV[1]}',
      parseCommand: (parser, one, two, text) => { parser.pushKey(one); parser.pushKey(two); parser.push(text); },
      transformReply: (reply) => reply.join(' '),
    }) },
  });
  assert.equal(await redis.clientGetName(), 'flow');
  assert.equal(await redis.set('text', 'žluťoučký', { expiration: { type: 'EX', value: 3600 }, condition: 'NX' }), 'OK');
  assert.equal(await redis.set('text', 'other', { condition: 'NX' }), null);
  assert.ok(await redis.ttl('text') > 3500);
  await redis.set('bytes', Buffer.from([0, 255, 13, 10]));
  assert.deepEqual(await redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get('bytes'), Buffer.from([0, 255, 13, 10]));
  await redis.hSet('hash', { one: 1, two: 2 });
  assert.deepEqual({ ...await redis.hGetAll('hash') }, { one: '1', two: '2' });
  await redis.mSet({ a: '1', b: '2' });
  assert.deepEqual(await redis.mGet(['a', 'b', 'none']), ['1', '2', null]);
  await redis.zAdd('scores', [{ score: 1, value: 'ann' }, { score: 2.5, value: 'bob' }, { score: Infinity, value: 'cid' }]);
  assert.deepEqual(await redis.zRangeWithScores('scores', 0, -1), [
    { value: 'ann', score: 1 }, { value: 'bob', score: 2.5 }, { value: 'cid', score: Infinity }]);
  assert.equal(await redis.zScore('scores', 'bob'), 2.5);
  assert.deepEqual(await redis.zPopMax('scores'), { value: 'cid', score: Infinity });
  await redis.sAdd('set', ['1', '2', '3']);
  assert.deepEqual(await redis.smIsMember('set', ['1', '9']), [1, 0]);
  assert.deepEqual((await redis.sMembers('set')).sort(), ['1', '2', '3']);
  assert.equal(await redis.incrByFloat('float', 1.5), '1.5');
  await assert.rejects(redis.incr('hash'), (error) => error instanceof ErrorReply && /^WRONGTYPE/.test(error.message));
  assert.equal((await redis.configGet('maxmemory-policy'))['maxmemory-policy'], 'noeviction');
};

const scans = async () => {
  await redis.mSet(Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`scan:${n}`, `${n}`])));
  const found = new Set();
  for await (const keys of redis.scanIterator({ MATCH: 'scan:*', COUNT: 10 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 100);
  const fields = [];
  for await (const page of redis.hScanIterator('hash')) fields.push(...page);
  assert.deepEqual(fields, [{ field: 'one', value: '1' }, { field: 'two', value: '2' }]);
};

const transactions = async () => {
  assert.deepEqual(await Promise.all([redis.set('p', 1), redis.incr('p'), redis.get('p')]), ['OK', 2, '2']);
  assert.deepEqual(await redis.multi().incr('p').hGetAll('hash').exec().then(([n, hash]) => [n, { ...hash }]), [3, { one: '1', two: '2' }]);
  const replies = await redis.multi().get('p').hGet('p', 'field').incr('p').execAsPipeline().catch((error) => error);
  assert.match(replies.message, /commands failed|WRONGTYPE/);
  const pool = await createClientPool({ url, RESP }).connect();
  await pool.execute(async (client) => {
    await client.watch('p');
    await redis.set('p', 10);
    await assert.rejects(client.multi().incr('p').exec(), WatchError);
    await client.watch('p');
    assert.deepEqual(await client.multi().incr('p').exec(), [11]);
  });
  await pool.close();
};

const scripts = async () => {
  assert.equal(await redis.both('a', 'b', 'c'), '1 2 c');
  await redis.scriptFlush();
  assert.equal(await redis.both('a', 'b', 'c'), '1 2 c');
  assert.equal(await redis.eval('redis.setresp(3); return {double=2.5}', { keys: [], arguments: [] }), RESP === 3 ? 2.5 : '2.5');
};

const functions = async () => {
  const library = '#!lua name=shop\nredis.register_function("price", function(keys, args) return redis.call("hget", keys[1], args[1]) end)';
  assert.equal(await redis.functionLoad(library, { REPLACE: true }), 'shop');
  await redis.hSet('prices', { tea: 3 });
  assert.equal(await redis.fCall('price', { keys: ['prices'], arguments: ['tea'] }), '3');
  assert.equal((await redis.functionList())[0].library_name, 'shop');
  await redis.functionDelete('shop');
};

const streams = async () => {
  const id = await redis.xAdd('events', '*', { kind: 'sale', n: '1' });
  const news = (await connect()).xRead({ key: 'events', id: '$' }, { BLOCK: 0 });
  await eventually('it to wait', async () => /blocked_clients:1/.test(await redis.info('clients')));
  const next = await redis.xAdd('events', '*', { kind: 'return' }, { TRIM: { strategy: 'MAXLEN', strategyModifier: '~', threshold: 1000 } });
  const [[name, [entry]]] = entries(await news);
  assert.deepEqual([name, entry.id, entry.message.kind], ['events', next, 'return']);
  assert.deepEqual((await redis.xRange('events', '-', '+')).map((e) => e.id), [id, next]);
  await redis.xGroupCreate('events', 'clerks', '0');
  const [[, [taken]]] = entries(await redis.xReadGroup('clerks', 'ann', { key: 'events', id: '>' }, { COUNT: 1 }));
  assert.equal(taken.id, id);
  assert.equal((await redis.xPending('events', 'clerks')).pending, 1);
  const { messages: [claimed] } = await redis.xAutoClaim('events', 'clerks', 'bob', 0, '0');
  assert.equal(claimed.id, id);
  assert.equal(await redis.xAck('events', 'clerks', id), 1);
  const info = await redis.xInfoStream('events');
  assert.deepEqual([info.length, info['last-generated-id'], info.groups], [2, next, 1]);
};

/** In RESP3 streams are a map, in RESP2 a list. */
const entries = (streams) => Array.isArray(streams) ? streams.map((s) => [s.name, s.messages]) : Object.entries(streams);

const estimatesAndPlaces = async () => {
  await redis.pfAdd('visitors', ['ann', 'bob', 'ann']);
  assert.equal(await redis.pfCount('visitors'), 2);
  await redis.geoAdd('cities', [{ longitude: 14.42, latitude: 50.08, member: 'Prague' }, { longitude: 16.61, latitude: 49.19, member: 'Brno' }]);
  assert.deepEqual(await redis.geoSearch('cities', { longitude: 14.4, latitude: 50 }, { radius: 50, unit: 'km' }, { SORT: 'ASC' }), ['Prague']);
  assert.equal(Math.round(await redis.geoDist('cities', 'Prague', 'Brno', 'km')), 186);
};

const messages = async () => {
  const subscriber = await connect();
  const heardMessages = [];
  await subscriber.subscribe('news', (message, channel) => heardMessages.push([channel, message]));
  await subscriber.pSubscribe('new*', (message, channel) => heardMessages.push(['pattern', channel, message]));
  await subscriber.sSubscribe('shard', (message, channel) => heardMessages.push(['shard', channel, message]));
  assert.equal(await redis.publish('news', 'hello'), 2);
  assert.equal(await redis.sPublish('shard', 'hello'), 1);
  assert.deepEqual(await first('messages', 3, heardMessages), [['news', 'hello'], ['pattern', 'news', 'hello'], ['shard', 'shard', 'hello']]);
  assert.deepEqual({ ...await redis.pubSubNumSub(['news', 'none']) }, { news: 1, none: 0 });
  if (RESP === 3) {
    assert.equal(await subscriber.get('a'), '1'); // a subscriber may do anything
  }
  await subscriber.unsubscribe();
  await subscriber.pUnsubscribe();
  await subscriber.sUnsubscribe();
  assert.equal(String(await subscriber.get('a')), '1'); // after RESP2's messages it is a Buffer
};

const waiting = async () => {
  const popped = (await connect()).brPop(['jobs', 'urgent'], 0);
  const moved = (await connect()).blMove('jobs', 'done', 'LEFT', 'RIGHT', 0);
  const least = (await connect()).bzPopMin('ranked', 0);
  await eventually('all to wait', async () => /blocked_clients:3/.test(await redis.info('clients')));
  await redis.rPush('urgent', 'one');
  assert.deepEqual({ ...await popped }, { key: 'urgent', element: 'one' });
  await redis.rPush('jobs', 'two');
  assert.equal(await moved, 'two');
  await redis.zAdd('ranked', [{ score: 2, value: 'low' }, { score: 1, value: 'high' }]);
  assert.deepEqual({ ...await least }, { key: 'ranked', value: 'high', score: 1 });
  assert.equal(await redis.blPop('jobs', 0.01), null);
};

/** A connection that is lost is made again, with its name, database and subscriptions. */
const reconnecting = async () => {
  const options = { socket: { reconnectStrategy: () => 1 } };
  const lost = await connect({ ...options, database: 3, name: 'lost' });
  const subscriber = await connect({ ...options, name: 'ear' });
  const heardMessages = [];
  await lost.set('here', 1);
  await subscriber.subscribe('news', (message) => heardMessages.push(message));
  for (const [client, name] of [[lost, 'lost'], [subscriber, 'ear']]) {
    const { id } = (await redis.clientList()).find((c) => c.name === name);
    const back = heard(client, 'ready');
    assert.equal(await redis.clientKill({ filter: 'ID', id }), 1);
    await back;
  }
  assert.equal(await lost.get('here'), '1');
  assert.equal(await lost.clientGetName(), 'lost');
  await eventually('the subscription to be renewed', async () => await redis.publish('news', 'again') === 1);
  await first('messages', 1, heardMessages);
};

/** A cache in the client, which the server tells what has changed. */
const cached = async () => {
  if (RESP !== 3) return;
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 });
  const reader = await connect({ clientSideCache: cache });
  const hits = () => cache.stats().hitCount;
  await redis.set('cached', 'old');
  assert.equal(await reader.get('cached'), 'old');
  assert.equal(await reader.get('cached'), 'old');
  assert.equal(hits(), 1);
  await redis.set('cached', 'new');
  await eventually('the new value', async () => await reader.get('cached') === 'new');
  const before = hits();
  assert.equal(await reader.get('cached'), 'new');
  assert.equal(hits(), before + 1);
};

const end = async () => {
  await redis.flushAll();
  for (const client of clients) client.destroy();
};

run(values, scans, transactions, scripts, functions, streams, estimatesAndPlaces, messages, waiting, reconnecting, cached, end);

'use strict';
// What a program does with Keyv, a cache, and with the sessions of connect-redis.

const assert = require('node:assert/strict');
const http = require('node:http');
const { promisify } = require('node:util');
const { default: KeyvRedis } = require('@keyv/redis');
const { RedisStore } = require('connect-redis');
const session = require('express-session');
const { default: Keyv } = require('keyv');
const { createClient } = require('redis');
const { eventually, run, url } = require('./flow');

const cache = async () => {
  const users = new Keyv(new KeyvRedis(url), { namespace: 'users' });
  const others = new Keyv(new KeyvRedis(url), { namespace: 'others' });
  await users.set('ann', { name: 'Ann', tags: ['a'] }, 3_600_000);
  await others.set('ann', 'other');
  assert.deepEqual(await users.get('ann'), { name: 'Ann', tags: ['a'] });
  assert.equal(await users.get('none'), undefined);
  await users.set('brief', 1, 1);
  await eventually('it to expire', async () => !await users.has('brief'));
  await users.setMany([{ key: 'bob', value: 2 }, { key: 'cid', value: 3 }]);
  assert.deepEqual(await users.getMany(['bob', 'none', 'cid']), [2, undefined, 3]);
  const names = [];
  for await (const [name] of users.iterator()) names.push(name);
  assert.deepEqual(names.sort(), ['ann', 'bob', 'cid']);
  assert.equal(await users.delete('bob'), true);
  await users.clear();
  assert.equal(await users.get('ann'), undefined);
  assert.equal(await others.get('ann'), 'other');
  await users.disconnect();
  await others.disconnect();
};

const sessions = async () => {
  const client = await createClient({ url }).connect();
  const store = new RedisStore({ client, ttl: 3600 });
  const middleware = promisify(session({ store, secret: 'secret', resave: false, saveUninitialized: false, cookie: { maxAge: 3_600_000 } }));
  const server = http.createServer(async (request, response) => {
    await middleware(request, response);
    request.session.visits = (request.session.visits ?? 0) + 1;
    if (request.url === '/leave') return request.session.destroy(() => response.end('bye'));
    response.end(String(request.session.visits));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const visit = async (path, cookie) => {
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: { cookie, connection: 'close' } });
    return [await response.text(), response.headers.get('set-cookie')?.split(';')[0]];
  };
  const [visits, cookie] = await visit('/', '');
  assert.equal(visits, '1');
  assert.equal((await visit('/', cookie))[0], '2');
  assert.equal((await visit('/', ''))[0], '1'); // another browser
  assert.equal((await promisify(store.ids).call(store)).length, 2);
  const id = decodeURIComponent(cookie).match(/s:(.+?)\./)[1];
  assert.ok(await client.ttl(`sess:${id}`) > 3500);
  assert.equal((await visit('/leave', cookie))[0], 'bye');
  assert.equal(await client.exists(`sess:${id}`), 0);
  await promisify(store.clear).call(store);
  assert.equal(await promisify(store.length).call(store), 0);
  server.close();
  await client.close();
};

run(cache, sessions);

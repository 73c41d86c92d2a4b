'use strict';
// What a program does with Socket.IO on two nodes, over the adapter that is named as its
// first argument and the client that is its second.

const assert = require('node:assert/strict');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');
const streams = require('@socket.io/redis-streams-adapter');
const { Redis } = require('ioredis');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');
const { eventually, first, heard, run, url } = require('./flow');

const [kind, library] = process.argv.slice(2);
const clients = [];
const nodes = [];
const sockets = [];

async function connect() {
  const client = library === 'redis' ? createClient({ url }) : new Redis(url);
  clients.push(client);
  if (library === 'redis') await client.connect();
  return client;
}

async function adapter() {
  switch (kind) {
    case 'pubsub':
      return createAdapter(await connect(), await connect(), { requestsTimeout: 60_000 });
    case 'sharded':
      return createShardedAdapter(await connect(), await connect());
    case 'streams':
      return streams.createAdapter(await connect(), { blockTimeInMs: 100, heartbeatInterval: 100, heartbeatTimeout: 60_000 });
  }
  throw new Error(`unknown adapter: ${kind}`);
}

/** Starts a node and connects a browser to it, which joins the room of the node's name. */
async function start(name) {
  const node = new Server({ adapter: await adapter(), connectionStateRecovery: kind === 'streams' ? {} : undefined });
  node.on('connection', (socket) => {
    socket.on('join', async (room, done) => {
      await socket.join(room);
      done();
    });
    socket.on('say', (room, text) => socket.to(room).emit('said', text));
  });
  node.listen(0);
  nodes.push(node);
  const socket = io(`http://127.0.0.1:${node.httpServer.address().port}`, { transports: ['websocket'], reconnectionDelay: 10 });
  sockets.push(socket);
  await heard(socket, 'connect');
  await socket.emitWithAck('join', name);
  return [node, socket];
}

let one, two, ann, bob;

const nodesMeet = async () => {
  [one, ann] = await start('one');
  [two, bob] = await start('two');
  for (const node of nodes) {
    await eventually('the nodes to know each other', async () => await node.of('/').adapter.serverCount() === 2);
  }
  // A node reads streams from where they end when it asks, until it has read something once.
  const hears = new Set();
  for (const socket of [ann, bob]) socket.on('ready', (from) => hears.add(`${socket.id} ${from}`));
  await eventually('the nodes to hear each other', () => {
    one.emit('ready', 'one');
    two.emit('ready', 'two');
    return hears.size === 4;
  });
};

const broadcasts = async () => {
  const [hello, here] = [heard(ann, 'hello'), heard(bob, 'hello')];
  one.emit('hello', 'all', { bytes: Buffer.from([0, 255]) });
  for (const message of [await hello, await here]) { // with an offset at its end where it can be recovered
    assert.deepEqual(message.slice(0, 2), ['all', { bytes: Buffer.from([0, 255]) }]);
  }
  const said = heard(bob, 'said');
  ann.emit('say', 'two', 'hi bob');
  assert.equal((await said)[0], 'hi bob');

  const got = [];
  for (const [name, socket] of [['ann', ann], ['bob', bob]]) socket.on('got', (text) => got.push(`${name} ${text}`));
  two.except('two').emit('got', 'first');
  two.to('one').emit('got', 'second');
  two.local.emit('got', 'local');
  await first('messages', 3, got);
  assert.deepEqual(got.sort(), ['ann first', 'ann second', 'bob local']);
};

const answers = async () => {
  ann.on('ask', (answer) => answer('ann'));
  bob.on('ask', (answer) => answer('bob'));
  assert.deepEqual((await one.timeout(60_000).emitWithAck('ask')).sort(), ['ann', 'bob']);
  two.on('sum', (a, b, answer) => answer(a + b));
  assert.deepEqual(await one.serverSideEmitWithAck('sum', 2, 3), [5]);
};

const rooms = async () => {
  assert.deepEqual((await one.fetchSockets()).map((socket) => socket.id).sort(), [ann.id, bob.id].sort());
  assert.equal((await one.in('two').fetchSockets())[0].id, bob.id);
  one.in('two').socketsJoin('guests');
  await eventually('bob to be a guest', async () => (await one.in('guests').fetchSockets()).length === 1);
  const welcome = heard(bob, 'welcome');
  one.to('guests').emit('welcome');
  await welcome;
  one.socketsLeave('guests');
  await eventually('bob to leave', async () => (await one.in('guests').fetchSockets()).length === 0);
};

/** Who was away for a moment receives what it has missed. */
const recovers = async () => {
  if (kind !== 'streams') return;
  const before = heard(bob, 'news');
  one.emit('news', 'before');
  await before;
  const news = [];
  bob.on('news', (text) => news.push(text));
  const back = heard(bob, 'connect');
  bob.io.engine.close();
  one.emit('news', 'missed');
  await back;
  assert.equal(bob.recovered, true);
  assert.deepEqual(await first('news', 1, news), ['missed']);
};

const ends = async () => {
  const gone = heard(bob, 'disconnect');
  one.in(bob.id).disconnectSockets(true);
  assert.equal((await gone)[0], 'io server disconnect');
  for (const socket of sockets) socket.disconnect();
  for (const node of nodes) await node.close();
  for (const client of clients) await (library === 'redis' ? client.close() : client.quit());
};

run(nodesMeet, broadcasts, answers, rooms, recovers, ends);

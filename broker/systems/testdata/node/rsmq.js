'use strict';
// What a program does with RSMQ, a message queue in the manner of SQS.

const assert = require('node:assert/strict');
const { createClient } = require('redis');
const RSMQ = require('rsmq');
const { eventually, heard, run, url } = require('./flow');

const { hostname: host, port } = new URL(url);
const queue = new RSMQ({ host, port, realtime: true });
const qname = 'orders';

const messages = async () => {
  assert.equal(await queue.createQueueAsync({ qname, vt: 3600, maxsize: 2048 }), 1);
  await assert.rejects(queue.createQueueAsync({ qname }), { name: 'queueExists' });
  assert.deepEqual(await queue.listQueuesAsync(), [qname]);
  const id = await queue.sendMessageAsync({ qname, message: 'first' });
  await queue.sendMessageAsync({ qname, message: 'second' });
  await assert.rejects(queue.sendMessageAsync({ qname, message: 'x'.repeat(3000) }), { name: 'messageTooLong' });
  const first = await queue.receiveMessageAsync({ qname });
  assert.deepEqual([first.id, first.message, first.rc], [id, 'first', 1]);
  assert.equal((await queue.receiveMessageAsync({ qname })).message, 'second');
  assert.deepEqual(await queue.receiveMessageAsync({ qname }), {});
  assert.equal(await queue.deleteMessageAsync({ qname, id }), 1);
  const attributes = await queue.getQueueAttributesAsync({ qname });
  assert.deepEqual([attributes.msgs, attributes.hiddenmsgs, attributes.totalsent, attributes.totalrecv], [1, 1, 2, 2]);
};

/** A message that was received and not deleted is there again after a time. */
const again = async () => {
  const { id } = await queue.receiveMessageAsync({ qname, vt: 0 });
  assert.equal(id, undefined); // the second message is hidden
  const own = await queue.sendMessageAsync({ qname, message: 'third' });
  assert.equal((await queue.receiveMessageAsync({ qname, vt: 3600 })).id, own);
  assert.equal(await queue.changeMessageVisibilityAsync({ qname, id: own, vt: 0 }), 1);
  const back = await eventually('it to be visible', async () => {
    const message = await queue.popMessageAsync({ qname });
    return message.id && message;
  });
  assert.deepEqual([back.message, back.rc], ['third', 2]);
  await queue.sendMessageAsync({ qname, message: 'distant', delay: 3600 });
  assert.deepEqual(await queue.popMessageAsync({ qname }), {});
};

const told = async () => {
  const subscriber = await createClient({ url }).connect();
  const counts = [];
  await subscriber.subscribe(`rsmq:rt:${qname}`, (count) => counts.push(Number(count)));
  await queue.sendMessageAsync({ qname, message: 'news' });
  await eventually('the number of messages', () => counts.length === 1);
  assert.deepEqual(counts, [3]);
  await subscriber.close();
};

const end = async () => {
  assert.equal(await queue.deleteQueueAsync({ qname }), 1);
  await assert.rejects(queue.getQueueAttributesAsync({ qname }), { name: 'queueNotFound' });
  await queue.quitAsync();
};

run(messages, again, told, end);

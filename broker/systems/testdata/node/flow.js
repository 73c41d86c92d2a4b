'use strict';
// What the flows in Node share.

const WAIT = 60_000;

/** The URL of the server. */
exports.url = process.env.REDIS_URL;

/** Waits until a condition holds, and returns its value. */
exports.eventually = async (what, holds) => {
  for (const deadline = Date.now() + WAIT; ; await sleep(10)) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
  }
};

/** Returns the first n values that are added to a list which grows. */
exports.first = async (what, n, list) => {
  await exports.eventually(`${n} of ${what}, and there are ${JSON.stringify(list)}`, () => list.length >= n);
  return list.slice(0, n);
};

/** Returns what an emitter says at its next event. */
exports.heard = (emitter, event) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited too long for ${event}`)), WAIT);
    emitter.once(event, (...values) => {
      clearTimeout(timer);
      resolve(values);
    });
  });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs the steps of a flow, one after the other. It ends when all clients are closed. */
exports.run = async (...steps) => {
  let at;
  setTimeout(() => {
    console.error(at ? `${at} does not end` : 'a client is still open');
    process.exit(1);
  }, 2 * WAIT).unref();
  try {
    for (const step of steps) {
      at = step.name || 'the last step';
      await step();
    }
    at = undefined;
    console.log('fine');
  } catch (error) {
    console.error(`${at}:`, error);
    process.exit(1);
  }
};

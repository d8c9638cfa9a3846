/** Faults of stored sessions: what must be on disc before what, and what is there after a restart. */
import type { Fault } from '../fault.ts'

const STORAGE = 'session/stored/session-storage.ts'
const RESTORED = 'session/session-restored.ts'

export const STORAGE_FAULTS: readonly Fault[] = [
  {
    what: 'SUBACK, PUBREC and CONNACK do not wait for the disc',
    caughtBy:
      'test/broker/session-storage.test.ts: what waits for the disc CONNACK of a session that is stored, and of one whose predecessor was',
    changes: [
      [
        STORAGE,
        'if (this.#held.length === 0) {\n      if (!waits || this.#store.writer.isSettled(this.#commit)) return false\n    }',
        'if (this.#held.length === 0) return false',
      ],
    ],
  },
  {
    what: 'what the client gets overtakes what waits for the disc',
    caughtBy:
      'test/broker/session-storage.test.ts: what waits for the disc a message that comes behind SUBACK, whatever its QoS',
    changes: [
      [
        STORAGE,
        'if (this.#held.length === 0) {\n      if (!waits || this.#store.writer.isSettled(this.#commit)) return false\n    }',
        'if (!waits || this.#store.writer.isSettled(this.#commit)) return false',
      ],
    ],
  },
  {
    what: 'PUBACK comes before the sessions of the node have the message on disc',
    caughtBy:
      'test/broker/session-storage.test.ts: what waits for the disc PUBACK for a message to a stored session; the message itself goes at once',
    changes: [
      [STORAGE, 'this.#owed.push({ commit: this.#commit, upTo, haste, message })', 'this.#creditors.taken(message)'],
    ],
  },
  {
    what: 'QoS 2 leaves the node, or is kept for others, before its identifier is on disc',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster what a client publishes at QoS 2 waits for the disc, and what is behind it, before it leaves the node',
    changes: [
      [
        STORAGE,
        'const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)',
        'const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos > 2)',
      ],
    ],
  },
  {
    what: 'what a client publishes overtakes what waits for the disc',
    caughtBy: 1,
    changes: [
      [
        STORAGE,
        'if (this.#unpublished.length === 0) {\n      const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)\n      if (!waits || this.#store.writer.isSettled(this.#commit)) return false\n    }',
        'const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)\n    if (!waits || this.#store.writer.isSettled(this.#commit)) return false',
      ],
    ],
  },
  {
    what: 'what a client has published and waits for the disc is lost when its session ends',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster what waits like that is published when the session ends',
    changes: [['session/session.ts', 'this.#storage?.publishAll()', '']],
  },
  {
    what: 'a session that follows one that has ended does not wait until that is removed from the disc',
    caughtBy:
      'test/broker/session-storage.test.ts: what waits for the disc CONNACK of a session that is stored, and of one whose predecessor was',
    changes: [['session/stored/session-store.ts', 'return this.writer.isFlushed(commit) ? 0 : commit', 'return 0']],
  },
  {
    what: 'messages of a session that ends stay on the disc',
    caughtBy: 'test/simulation/stored-sessions.test.ts: sessions that have expired leave nothing on the disc',
    changes: [
      [
        'session/stored/session-store.ts',
        'for (const [each] of this.#store.entries(space)) operations.push({ space, key: each, value: undefined })',
        '',
      ],
    ],
  },
  {
    what: 'QoS 2 identifiers of publishers are lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store goes on as the one that was lost would have',
    changes: [
      [RESTORED, 'for (const [messageId, id] of received) {', 'for (const [messageId, id] of [] as typeof received) {'],
    ],
  },
  {
    what: 'a message that is published again has another id',
    caughtBy:
      'test/broker/session-restored.test.ts: a QoS 2 message of the client that may not have reached all is published again, under the id that it had',
    changes: [['session/session-inbound.ts', 'return former\n', 'return state.nextMessageId(nowMs)\n']],
  },
  {
    what: 'what is published again before it was taken over everywhere counts as published',
    caughtBy:
      'test/broker/session-restored.test.ts: a QoS 2 message of the client that may not have reached all is published again, under the id that it had',
    changes: [
      [
        'session/session-inbound.ts',
        'state.awaitingRel.has(messageId) && state.unfinished?.has(messageId) !== true) {',
        'state.awaitingRel.has(messageId)) {',
      ],
    ],
  },
  {
    what: 'ids of what is done are lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store remembers as many of what it has had as were the last, over restarts too',
    changes: [[RESTORED, 'state.done.push(...done)', '']],
  },
  {
    what: 'ids of what the session has had are lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store knows what it has had at QoS 2, however often it was restored',
    changes: [[RESTORED, 'if (known.size > 0) state.known = new Set(known)', '']],
  },
  {
    what: 'packet identifiers begin anew after a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store knows what it has had at QoS 2, however often it was restored',
    changes: [[RESTORED, 'state.inflight.goOnAfter(latestPacketId([...done, ...sent]))', '']],
  },
  {
    what: 'the order of messages begins anew after a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store goes on as the one that was lost would have',
    changes: [[RESTORED, 'state.arrivals = arrivals', '']],
  },
  {
    what: 'PUBRELs are lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store goes on as the one that was lost would have',
    changes: [[RESTORED, 'state.inflight.restorePubrel(each.messageId, each.order)', '']],
  },
  {
    what: 'what is in flight is lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store goes on as the one that was lost would have',
    changes: [[RESTORED, 'else state.inflight.restore(each.packet, each.share, each.order, each.number)', '']],
  },
  {
    what: 'the queue is lost at a restart',
    caughtBy:
      'test/broker/session-stored.prop.test.ts: a session that is found again in the store goes on as the one that was lost would have',
    changes: [[RESTORED, 'if (queued.length + volatile.length === 0) return', 'return']],
  },
  {
    what: 'the expiry of a restored session begins anew',
    caughtBy: 'test/broker/session-restored.test.ts: the will and the expiry are due when they were',
    changes: [[RESTORED, 'const delayMs = state.expirySec * 1000 - awayMs', 'const delayMs = state.expirySec * 1000']],
  },
]

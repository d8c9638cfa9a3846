/** Faults of stored sessions: what must be on disc before what, and what is there after a restart. */
import type { Fault } from '../fault.ts'

const STORAGE = 'session/stored/session-storage.ts'
const RESTORED = 'session/session-restored.ts'

export const STORAGE_FAULTS: readonly Fault[] = [
  {
    what: 'SUBACK, PUBREC and CONNACK do not wait for the disc',
    changes: [
      [
        STORAGE,
        'if (this.#held.length === 0) {\n      if (!waits || this.#store.isSettled(this.#commit)) return false\n    }',
        'if (this.#held.length === 0) return false',
      ],
    ],
  },
  {
    what: 'what the client gets overtakes what waits for the disc',
    changes: [
      [
        STORAGE,
        'if (this.#held.length === 0) {\n      if (!waits || this.#store.isSettled(this.#commit)) return false\n    }',
        'if (!waits || this.#store.isSettled(this.#commit)) return false',
      ],
    ],
  },
  {
    what: 'PUBACK comes before the sessions of the node have the message on disc',
    changes: [
      [STORAGE, 'this.#owed.push({ commit: this.#commit, upTo, haste, message })', 'this.#creditors.taken(message)'],
    ],
  },
  {
    what: 'QoS 2 leaves the node, or is kept for others, before its identifier is on disc',
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
    changes: [
      [
        STORAGE,
        'if (this.#unpublished.length === 0) {\n      const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)\n      if (!waits || this.#store.isSettled(this.#commit)) return false\n    }',
        'const waits = hasOthers && this.isStored && effect.messages.some(({ qos }) => qos === 2)\n    if (!waits || this.#store.isSettled(this.#commit)) return false',
      ],
    ],
  },
  {
    what: 'what a client has published and waits for the disc is lost when its session ends',
    changes: [['session/session.ts', 'this.#storage?.publishAll()', '']],
  },
  {
    what: 'a session that follows one that has ended does not wait until that is removed from the disc',
    changes: [['session/stored/session-store.ts', 'return this.#removed.get(clientId) ?? 0', 'return 0']],
  },
  {
    what: 'messages of a session that ends stay on the disc',
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
    changes: [
      [RESTORED, 'for (const [messageId, id] of received) {', 'for (const [messageId, id] of [] as typeof received) {'],
    ],
  },
  {
    what: 'a message that is published again has another id',
    changes: [['session/session-inbound.ts', 'return former\n', 'return state.nextMessageId(nowMs)\n']],
  },
  {
    what: 'what is published again before it was taken over everywhere counts as published',
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
    changes: [[RESTORED, 'state.done.push(...done)', '']],
  },
  {
    what: 'ids of what the session has had are lost at a restart',
    changes: [[RESTORED, 'if (known.size > 0) state.known = new Set(known)', '']],
  },
  {
    what: 'packet identifiers begin anew after a restart',
    changes: [[RESTORED, 'state.inflight.goOnAfter(latestPacketId([...done, ...sent]))', '']],
  },
  {
    what: 'the order of messages begins anew after a restart',
    changes: [[RESTORED, 'state.arrivals = arrivals', '']],
  },
  {
    what: 'PUBRELs are lost at a restart',
    changes: [[RESTORED, 'state.inflight.restorePubrel(each.messageId, each.order)', '']],
  },
  {
    what: 'what is in flight is lost at a restart',
    changes: [[RESTORED, 'else state.inflight.restore(each.packet, each.share, each.order, each.number)', '']],
  },
  {
    what: 'the queue is lost at a restart',
    changes: [[RESTORED, 'if (queued.length + volatile.length === 0) return', 'return']],
  },
  {
    what: 'the expiry of a restored session begins anew',
    changes: [[RESTORED, 'const delayMs = state.expirySec * 1000 - awayMs', 'const delayMs = state.expirySec * 1000']],
  },
]

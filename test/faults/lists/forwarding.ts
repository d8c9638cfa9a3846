/** Faults of what is on its way to other nodes, and of what is kept for those that are away. */
import type { Fault } from '../fault.ts'

const FORWARDING = 'forward/forwarding.ts'
const FORWARDER = 'forward/forwarder.ts'
const HINTS = 'forward/hints.ts'

export const FORWARDING_FAULTS: readonly Fault[] = [
  // Receipts
  {
    what: 'publishers do not wait for other nodes',
    changes: [[FORWARDING, 'const receipt = peer.isLate ? undefined : entry.receipt', 'const receipt = undefined']],
  },
  {
    what: 'forwards are confirmed before the sessions have them on disc',
    changes: [[FORWARDER, 'if (receipt === undefined) {\n      this.#dueTo', 'if (seq > 0) {\n      this.#dueTo']],
  },
  {
    what: 'the wait for a node that stands still has no bound',
    changes: [[FORWARDING, 'if (sentAtMs + waitMs > nowMs) {', 'if (sentAtMs > 0) {']],
  },
  {
    what: 'the wait for other nodes is measured with a clock that may be set back',
    changes: [
      [FORWARDING, 'sentAtMs: runtime.clock.monotonic()', 'sentAtMs: runtime.clock.now()'],
      [FORWARDER, 'this.#self.runtime.clock.monotonic()', 'this.#self.runtime.clock.now()'],
    ],
  },
  {
    what: 'each publish waits anew for a node that stands still',
    changes: [[FORWARDING, 'peer.isLate = true', '']],
  },
  {
    what: 'a node that stood still once is not waited for any more',
    changes: [
      [FORWARDING, 'peer.isLate = false\n    for (', 'for ('],
      [FORWARDING, 'peer.isLate = false\n    peer.isReady', 'peer.isReady'],
    ],
  },
  {
    what: 'publishers do not go on when the link to a node is lost',
    changes: [[FORWARDER, 'forwarding.settleFailed(message.node)', '']],
  },

  // Streams
  {
    what: 'the stream goes on when the link was lost',
    changes: [[FORWARDING, 'peer.stream += 1', '']],
  },
  {
    what: 'what is said of a stream that is over counts for the next one',
    changes: [
      [FORWARDING, 'if (peer === undefined || peer.stream !== stream) return', 'if (peer === undefined) return'],
    ],
  },
  {
    what: 'of a message that was lost with a link the number passes for one that has come',
    changes: [['forward/seen.ts', 'known = { stream, from: seq,', 'known = { stream, from: 0,']],
  },
  {
    what: 'the end of a connection is noticed when members are told of it',
    changes: [[FORWARDER, "if (event.tag === 'nodedown') this.#disconnected(event.node)", '']],
  },
  {
    what: 'a forwarder that was started anew behind a link that holds is not noticed',
    changes: [[FORWARDING, 'if (peer.forwarder !== forwarder && this.#giveUp(node)) this.settleFailed(node)', '']],
  },
  {
    what: 'the forwarder does not know QoS 2 messages by their ids',
    changes: [[FORWARDER, 'if (qos < 2) return true', 'if (qos < 3) return true']],
  },
  {
    what: 'what was forwarded to sessions that end with their connection counts as had by the others',
    changes: [
      [
        FORWARDER,
        "const isNewToDurable = reach === 'volatile' || durable.add(id)",
        'const isNewToDurable = durable.add(id)',
      ],
    ],
  },
  {
    what: 'ids of what clients of the node have published are not noted',
    changes: [['services.ts', 'if (qos === 2) recent.durable.add(id)', 'if (qos > 2) recent.durable.add(id)']],
  },

  // What is kept
  {
    what: 'what was not confirmed is not kept when the link is lost',
    changes: [
      [
        FORWARDING,
        'for (const { messages } of entry.batches) this.#keep(node, { messages, stream, seq }, entry.receipt)',
        '',
      ],
    ],
  },
  {
    what: 'what follows overtakes what is kept',
    changes: [
      [
        FORWARDING,
        '(hints.has(node) || this.#peers.get(node)?.isReady !== true)',
        '(this.#peers.get(node)?.isReady !== true)',
      ],
    ],
  },
  {
    what: 'what is published before a node is ready is sent to it',
    changes: [[FORWARDING, '(hints.has(node) || this.#peers.get(node)?.isReady !== true)', 'hints.has(node)']],
  },
  {
    what: 'what is kept is sent as well',
    changes: [
      [
        FORWARDING,
        "this.#send(node, batches, receipt, NONE, 'volatile')",
        "this.#send(node, batches, receipt, NONE, 'all')",
      ],
    ],
  },
  {
    what: 'what is kept is not sent to those who end with their connection',
    changes: [[FORWARDING, "this.#send(node, batches, receipt, NONE, 'volatile')", '']],
  },
  {
    what: 'what is sent to sessions that end with their connection reaches the others too',
    changes: [
      ['routing/pubsub.ts', "if (reach !== 'all' && subscriber.durable !== (reach === 'durable')) continue", ''],
    ],
  },
  {
    what: 'what was kept reaches sessions that end with their connection',
    changes: [[FORWARDER, "this.#dispatch(plain, 'durable')", "this.#dispatch(plain, 'all')"]],
  },
  {
    what: 'a hint is not on disc when its publisher is acknowledged',
    changes: [
      [FORWARDING, 'receipt?.expect()', ''],
      [FORWARDING, 'const taken = () => receipt?.taken()', 'const taken = () => undefined'],
    ],
  },
  {
    what: 'hints are forgotten at a restart',
    changes: [[HINTS, 'this.#logs.set(space.slice(SPACE.length), log)', '']],
  },
  {
    what: 'hints are read in the order of their texts after a restart',
    changes: [[HINTS, "String(number).padStart(KEY_DIGITS, '0')", 'String(number)']],
  },
  {
    what: 'hints are not given when a member is ready',
    changes: [
      [FORWARDING, 'if (!this.#giveHints(node)) this.#sendHints(node, NO_HINTS)', 'this.#sendHints(node, NO_HINTS)'],
    ],
  },
  {
    what: 'a node that has kept nothing does not say so',
    changes: [[FORWARDING, 'if (!this.#giveHints(node)) this.#sendHints(node, NO_HINTS)', 'this.#giveHints(node)']],
  },
  {
    what: 'a page is all there is',
    changes: [
      [
        FORWARDING,
        'this.#options.hints?.remove(node, last)\n    this.#giveHints(node)',
        'this.#options.hints?.remove(node, last)',
      ],
    ],
  },
  {
    what: 'hints are given one by one, and the last page is not known',
    changes: [
      [FORWARDING, 'const HINT_PAGE_BYTES = 262_144', 'const HINT_PAGE_BYTES = 1'],
      [HINTS, 'more: at < log.next', 'more: false'],
    ],
  },
  {
    what: 'hints are removed when they are sent',
    changes: [
      [
        FORWARDING,
        'if (page !== undefined) this.#sendHints(node, page)',
        'if (page !== undefined) {\n      this.#sendHints(node, page)\n      this.#options.hints?.remove(node, page.last)\n    }',
      ],
    ],
  },
  {
    what: 'hints are confirmed before the sessions have them on disc',
    changes: [[FORWARDER, 'if (receipt.isDone) {\n      this.#sayHinted', 'if (last >= 0) {\n      this.#sayHinted']],
  },
  {
    what: 'a page that was taken removes all hints',
    changes: [[HINTS, 'while (log.first <= last && log.first < log.next) this', 'while (log.first < log.next) this']],
  },
  {
    what: 'hints that were taken are not removed',
    changes: [[HINTS, 'store.commit([{ space: SPACE + node, key, value: undefined }])', '']],
  },
  {
    what: 'hints that had come as forwards are taken again',
    changes: [
      [
        FORWARDER,
        'const fresh = hints.filter(({ stream, seq }) => stream === undefined || !this.#seen.has(node, stream, seq!))',
        'const fresh = hints',
      ],
    ],
  },
  {
    what: 'a member has given what it has kept when the first page has come',
    changes: [[FORWARDER, 'if (!more) this.#given(node)', 'this.#given(node)']],
  },
  {
    what: 'a member that was lost and is back has given what it has kept',
    changes: [[FORWARDING, 'this.#given.delete(node)', '']],
  },

  // Readiness
  {
    what: 'a node says that it is ready before its sessions are there',
    changes: [
      [
        'session/stored/session-restorer.ts',
        'await Promise.all(underWay)\n    routing.forgetFormer()',
        'void Promise.all(underWay).then(() => {\n      routing.forgetFormer()\n      places.forgetFormer()\n    })\n    return ignore()\n    routing.forgetFormer()',
      ],
    ],
  },
  {
    what: 'a node is ready before its routes are seen',
    changes: [[FORWARDER, 'if (this.#options.routing.global.routes.isVisible(message.node)) this', 'this']],
  },
  {
    what: 'a node that asks who is ready gets no answer',
    changes: [[FORWARDER, 'if (message.asks) this.#sayReady(message.node, false)', '']],
  },
  {
    what: 'what a node has said before it was lost counts when it is back',
    changes: [[FORWARDER, 'this.#early.delete(event.node)', '']],
  },
  {
    what: 'the word of a member that is lost is heard afterwards, and stands',
    changes: [[FORWARDER, 'away.lost(event.node)', '']],
  },
  {
    what: 'parked routes stay when the member is ready',
    changes: [[FORWARDER, 'routing.parked.release(node)', '']],
  },
]

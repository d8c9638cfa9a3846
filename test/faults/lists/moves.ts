/** Faults of sessions that move from node to node. */
import type { Fault } from '../fault.ts'

const DEPARTURE = 'session/moving/departure.ts'
const FENCES = 'forward/fences.ts'

export const MOVE_FAULTS: readonly Fault[] = [
  {
    what: 'the word is given before the mark is on disc',
    caughtBy:
      'test/broker/departure.test.ts: it gives its word when the mark is on disc, and ends when it hears that the newcomer is the session',
    changes: [
      [
        DEPARTURE,
        "this.#session.whenStored({ tag: 'move_mark', move: attempt.move })",
        "this.marked({ tag: 'move_mark', move: attempt.move }, true)",
      ],
    ],
  },
  {
    what: 'both sessions stay',
    caughtBy:
      'test/broker/departure.test.ts: it gives its word when the mark is on disc, and ends when it hears that the newcomer is the session',
    changes: [[DEPARTURE, "this.#session.handle({ tag: 'gone', upTo: moved.upTo })", '']],
  },
  {
    what: 'a session in doubt serves its client',
    caughtBy:
      'test/broker/departure.test.ts: it serves nobody when the link is lost after the word, until it is told to stay',
    changes: [[DEPARTURE, 'if (this.#doubt !== undefined) return this.#openInDoubt(this.#doubt, home, client)', '']],
  },
  {
    what: 'a move is not given up when the link is lost',
    caughtBy: 'test/broker/departure.test.ts: it stays, and serves its client, when the link is lost before the word',
    changes: [[DEPARTURE, "this.#giveUp(attempt, 'the newcomer has ended')", '{}']],
  },
  {
    what: 'a move is not given up when it takes too long',
    caughtBy: 'test/broker/departure.test.ts: it stays, and serves its client, when it takes too long',
    changes: [[DEPARTURE, "this.#giveUp(attempt, 'it takes too long')", '{}']],
  },
  {
    what: 'what was kept for the node to which a session goes is not waited for',
    caughtBy: 'test/broker/fences.test.ts: a node that keeps something for another one says so',
    changes: [[FENCES, 'const isClear = !isKept && this', 'const isClear = this']],
  },
  {
    what: 'what was published before the routes were known everywhere is not waited for',
    caughtBy: 'test/broker/fences.test.ts: a fence is passed when what was on its way has come',
    changes: [[FENCES, 'if (!this.#options.seen.has(node, stream, seq)) return false', '']],
  },
  {
    what: 'sessions move although a member is away',
    caughtBy: 'test/broker/fences.test.ts: it is not passed while a member is away, nor when one comes or goes',
    changes: [[FENCES, 'if (stopped.length + partitioned.length > 0) {', "if (node === '') {"]],
  },
  {
    what: 'sessions move although a member comes or goes',
    caughtBy: 'test/broker/fences.test.ts: it is not passed while a member is away, nor when one comes or goes',
    changes: [['forward/forwarder.ts', 'this.#fences.fail()', '{}']],
  },
]

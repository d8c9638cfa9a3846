/** Faults of sessions that move from node to node. */
import type { Fault } from '../fault.ts'

const DEPARTURE = 'session/moving/departure.ts'
const ARRIVAL = 'session/moving/arrival.ts'
const MOVES = 'session/moving/moves.ts'
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
    what: 'what has come to a node before the subscriptions of a session that comes there stand counts as had by it',
    caughtBy:
      'test/broker/arrival.test.ts: what has come to its node after it was made, but before it was subscribed, comes to it when it is published again',
    changes: [
      [
        ARRIVAL,
        'const { journal } = session.state\n',
        'const { journal } = session.state\n    session.state.subscribedAfter = session.state.nextMessageId(0)\n',
      ],
      [ARRIVAL, 'if (ticket === ARRIVED) state.subscribedAfter =', 'state.subscribedAfter ??='],
    ],
  },
  {
    what: 'a session forgets the ids of what came to it while it was moving in',
    caughtBy:
      'test/broker/arrival.test.ts: what has come to it before the router has answered does not come again when it is published again',
    changes: [[MOVES, 'runs.filter(({ matched }) => matched.share === undefined)', '[]']],
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

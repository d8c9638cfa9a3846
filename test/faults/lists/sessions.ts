/** Faults of two sessions of one client id, of rows of sessions, and of wills. */
import type { Fault } from '../fault.ts'

const LOCAL = 'session/local-sessions.ts'
const GIVING_WAY = 'session/giving-way.ts'
const HAND_OVER = 'session/hand-over.ts'
const RESTORED = 'session/session-restored.ts'

export const SESSION_FAULTS: readonly Fault[] = [
  // Two sessions
  {
    what: 'the loser of two sessions does not give way',
    changes: [[LOCAL, 'else this.#giveWay(own.pid, last.pid)', '']],
  },
  {
    what: 'two sessions are not noticed when nodes meet',
    changes: [
      [
        LOCAL,
        'for (const row of table.rowsOf(event.owner)) this.#seen(row)',
        'for (const row of table.rowsOf(event.owner)) {\n          this.#forgetWill(row)\n          this.#tellSettled(row)\n        }',
      ],
    ],
  },
  {
    what: 'a session that is restored does not look for a later one',
    changes: [
      [
        LOCAL,
        'table.write({ ...common, expirySec, connectedAtMs, will })\n    // Its client may have got another one elsewhere while this node was down.\n    this.#meet(clientId)',
        'table.write({ ...common, expirySec, connectedAtMs, will })',
      ],
    ],
  },
  {
    what: 'the second of two sessions that two homes have made on one node stays beside the first',
    changes: [[LOCAL, 'if (own !== undefined) this.#giveWay(own.pid, outcome.pid)', '']],
  },
  {
    what: 'a home that has only just met this node gets a second session of it',
    changes: [[LOCAL, 'if (own !== undefined && this.#self.runtime.isAlive(own.pid)) {', 'if (own === null) {']],
  },
  {
    what: 'the loser does not wait for what others have kept for its node',
    changes: [[LOCAL, 'if (this.#options.mayBeGiven(last.pid.node)) this', 'if (this.#unmet === undefined) this']],
  },
  {
    what: 'a loser that has waited for what was kept does not give way then',
    changes: [[LOCAL, 'for (const clientId of unmet) this.#meet(clientId)', '']],
  },
  {
    what: 'a loser whose winner is gone does not look for another one',
    changes: [
      [LOCAL, 'this.#meet(clientId)\n      if (will === undefined) continue', 'if (will === undefined) continue'],
    ],
  },
  {
    what: 'the loser drops what waits',
    changes: [[GIVING_WAY, 'if (state.expirySec === 0) {', 'if (state.expirySec >= 0) {']],
  },
  {
    what: 'the loser ends before the winner has confirmed what it was handed',
    changes: [[GIVING_WAY, 'if (handOver.next()) return', 'while (handOver.next());']],
  },
  {
    what: 'the loser ends when the link to the winner is lost',
    changes: [[GIVING_WAY, "if (reason === 'normal') this.#discard(false)", 'this.#discard(false)']],
  },
  {
    what: 'the loser publishes its will',
    changes: [[GIVING_WAY, "this.#session.handle({ tag: 'will_settled' })", '']],
  },
  {
    what: 'what comes to the loser while it hands over is not handed over',
    changes: [
      [HAND_OVER, 'for (const message of batch.messages) if (message.qos > 0) this.#waiting.push(message)', ''],
    ],
  },
  {
    what: 'the winner is handed QoS 0 as well',
    changes: [
      [
        HAND_OVER,
        ').map(({ message }) => message),\n  ].filter(({ qos }) => qos > 0)',
        ').map(({ message }) => message),\n  ]',
      ],
    ],
  },
  {
    what: 'the winner does not look at what it has',
    changes: [[HAND_OVER, 'if (had.has(message.id)) continue', '']],
  },
  {
    what: 'the winner does not look at what it has had',
    changes: [[HAND_OVER, 'arrival > state.subscribedAfter) continue', 'arrival === null) continue']],
  },
  {
    what: 'what came before the winner of two sessions subscribed counts as had by it',
    changes: [
      [
        HAND_OVER,
        'if (arrival !== undefined && state.subscribedAfter !== undefined && arrival > state.subscribedAfter) continue',
        'if (arrival !== undefined) continue',
      ],
    ],
  },
  {
    what: 'the winner forgets the ids of what it was handed',
    changes: [[HAND_OVER, 'state.known.add(id)', '']],
  },
  {
    what: 'a winner that began anew takes what waited before',
    changes: [
      [
        HAND_OVER,
        'if (state.beganCleanAtMs !== undefined && state.beganCleanAtMs > connectedAtMs) {',
        'if (messages === undefined) {',
      ],
    ],
  },
  {
    what: 'the winner confirms before it has on disc what it was handed',
    changes: [
      [
        'session/session.ts',
        'if (this.#storage === undefined) this.#answer(answer)',
        'if (message !== undefined) this.#answer(answer)',
      ],
    ],
  },
  {
    what: 'what a session has had before a restart counts as had by the winner only from then on',
    changes: [[RESTORED, "state.subscribedAfter = ''", '']],
  },

  // Rows
  {
    what: 'the row of a session stays when it ends',
    changes: [
      [LOCAL, 'if (row?.pid.equals(pid)) {\n      this.#options.table.delete(clientId)', 'if (row?.pid.equals(pid)) {'],
    ],
  },
  {
    what: 'the row of a session that is restored is not written',
    changes: [[LOCAL, 'if (stored !== undefined) this.#writeStored(stored, outcome.pid)', '']],
  },
  {
    what: 'others do not learn that a connection has gone',
    changes: [
      [LOCAL, 'if (row?.pid.equals(session)) this.#options.table.write({ ...row, connection: undefined, will })', ''],
    ],
  },
  {
    what: 'others do not learn that a stored session has ended',
    changes: [[LOCAL, 'this.#options.places.align(clientId)\n    if (row?.pid', 'if (row?.pid']],
  },
  {
    what: 'others do not learn that a session is stored',
    changes: [
      [
        'session/stored/stored-places.ts',
        'if (isStored) this.#table.write({ clientId, node: this.#node })',
        'if (isStored) return',
      ],
    ],
  },
  {
    what: 'rows of stored sessions of a former run stay',
    changes: [['session/stored/stored-places.ts', "operations.push({ op: 'delete', key: clientId })", 'continue']],
  },

  // Wills
  {
    what: 'the will of a client whose node dies is published by nobody',
    changes: [[LOCAL, 'this.#publishWill(clientId, will)\n    this.#settled', 'this.#settled']],
  },
  {
    what: 'each survivor publishes the will',
    changes: [[LOCAL, 'if (isBack || !isHome(clientId)) return', 'if (isBack) return']],
  },
  {
    what: 'the will is published although the client is back',
    changes: [
      [LOCAL, 'if (isBack || !isHome(clientId)) return', 'if (!isHome(clientId)) return'],
      [
        LOCAL,
        'if (waiting === undefined || waiting.due.row.connectedAtMs > connectedAtMs) return',
        'if (connectedAtMs > 0) return',
      ],
    ],
  },
  {
    what: 'a will that waits for the node that has it is published although its client has been back, and has left',
    changes: [
      [
        LOCAL,
        'if (waiting === undefined || waiting.due.row.connectedAtMs > connectedAtMs) return',
        'if (connectedAtMs > 0) return',
      ],
    ],
  },
  {
    what: 'the node of a session does not learn that its will was published',
    changes: [[LOCAL, '    this.#tellSettled(row)\n', '']],
  },
  {
    what: 'a will is published by the home although its connection lives and has published it',
    changes: [[LOCAL, 'if (isSeenTo(row, will) && connection !== owner && isRunning(connection!)) continue', '']],
  },
  {
    what: 'a will is left to a connection that has died with the session',
    changes: [
      [
        LOCAL,
        'if (isSeenTo(row, will) && connection !== owner && isRunning(connection!)) continue',
        'if (isSeenTo(row, will)) continue',
      ],
    ],
  },
  {
    what: 'a will is published at once when its node dies',
    changes: [[LOCAL, 'const delayMs = willDelaySec(will, expirySec) * 1000', 'const delayMs = 0']],
  },
  {
    what: 'a restored session publishes its will as well',
    changes: [
      [
        RESTORED,
        'if (othersRun && state.will !== undefined',
        'if (othersRun === undefined && state.will !== undefined',
      ],
    ],
  },
  {
    what: 'the will of a restored session waits anew',
    changes: [
      [
        RESTORED,
        'const delayMs = willDelaySec(state.will, state.expirySec) * 1000 - awayMs',
        'const delayMs = willDelaySec(state.will, state.expirySec) * 1000',
      ],
    ],
  },
  {
    what: 'a will is lost that its session was to publish when its node died',
    changes: [[RESTORED, 'state.will = session.will', 'state.will = undefined']],
  },
]

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
    caughtBy: 1,
    changes: [[LOCAL, 'else this.#giveWay(own.pid, last.pid)', '']],
  },
  {
    what: 'two sessions are not noticed when nodes meet',
    caughtBy: 'test/broker/give-way.test.ts: a session gives way to the latest, and to the next when that is gone',
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
    caughtBy: 'test/broker/give-way.test.ts: a session that is restored gives way to one that its client has got since',
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
    caughtBy:
      'test/broker/sm.test.ts: homes that do not see each other have two sessions made at the same time, of which one stays',
    changes: [[LOCAL, 'if (own !== undefined) this.#giveWay(own.pid, outcome.pid)', '']],
  },
  {
    what: 'a home that has only just met this node gets a second session of it',
    caughtBy: 'test/broker/sm.test.ts: homes that do not see each other get the session that is there',
    changes: [[LOCAL, 'if (own !== undefined && this.#self.runtime.isAlive(own.pid)) {', 'if (own === null) {']],
  },
  {
    what: 'the loser does not wait for what others have kept for its node',
    caughtBy:
      'test/broker/give-way.test.ts: a session gives way when members have given what they had kept for its node',
    changes: [[LOCAL, 'if (this.#options.mayBeGiven(last.pid.node)) this', 'if (this.#unmet === undefined) this']],
  },
  {
    what: 'a loser that has waited for what was kept does not give way then',
    caughtBy:
      'test/broker/give-way.test.ts: a session gives way when members have given what they had kept for its node',
    changes: [[LOCAL, 'for (const clientId of unmet) this.#meet(clientId)', '']],
  },
  {
    what: 'a loser whose winner is gone does not look for another one',
    caughtBy:
      'test/broker/give-way.test.ts: a session gives way to the next when the node of the latest is lost, and to the latest when that is back',
    changes: [
      [LOCAL, 'this.#meet(clientId)\n      if (will === undefined) continue', 'if (will === undefined) continue'],
    ],
  },
  {
    what: 'the loser drops what waits',
    caughtBy:
      'test/broker/hand-over.test.ts: what waits in a session that gives way is counted as handed over when the other takes it, as dropped when that does not want it, and else not (on disc: false)',
    changes: [[GIVING_WAY, 'if (state.expirySec === 0) {', 'if (state.expirySec >= 0) {']],
  },
  {
    what: 'the loser ends before the winner has confirmed what it was handed',
    caughtBy:
      'test/broker/hand-over.test.ts: what waits in a session that gives way is counted as handed over when the other takes it, as dropped when that does not want it, and else not (on disc: false)',
    changes: [[GIVING_WAY, 'if (handOver.next()) return', 'while (handOver.next());']],
  },
  {
    what: 'the loser ends when the link to the winner is lost',
    caughtBy:
      'test/broker/hand-over.test.ts: what waits in a session that gives way stays there when the link to the other is lost',
    changes: [[GIVING_WAY, "if (reason === 'normal') this.#discard(false)", 'this.#discard(false)']],
  },
  {
    what: 'the loser publishes its will',
    caughtBy:
      'test/broker/hand-over.test.ts: what waits in a session that gives way takes the will with it that was to be published later, since the client is there [MQTT5-3.1.3-9]',
    changes: [[GIVING_WAY, "this.#session.handle({ tag: 'will_settled' })", '']],
  },
  {
    what: 'what comes to the loser while it hands over is not handed over',
    caughtBy:
      'test/broker/hand-over.test.ts: what comes to a session that gives way is handed over as well, but for what its client gets at QoS 0',
    changes: [
      [HAND_OVER, 'for (const message of batch.messages) if (message.qos > 0) this.#waiting.push(message)', ''],
    ],
  },
  {
    what: 'the winner is handed QoS 0 as well',
    caughtBy:
      'test/broker/hand-over.test.ts: what was published at QoS 0 is not handed over, although the client was to get it at QoS 1',
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
    caughtBy:
      'test/broker/hand-over.test.ts: the session that stays does not take again what it holds, at any QoS, although it has unsubscribed it since',
    changes: [[HAND_OVER, 'if (had.has(message.id)) continue', '']],
  },
  {
    what: 'the winner does not look at what it has had',
    caughtBy:
      'test/broker/hand-over.test.ts: the session that stays of QoS 2 leaves out what has come to its node since it subscribed, and no more',
    changes: [[HAND_OVER, 'arrival > state.subscribedAfter) continue', 'arrival === null) continue']],
  },
  {
    what: 'what came before the winner of two sessions subscribed counts as had by it',
    caughtBy:
      'test/broker/hand-over.test.ts: the session that stays of QoS 2 leaves out what has come to its node since it subscribed, and no more',
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
    caughtBy:
      'test/broker/hand-over.test.ts: the session that stays knows a QoS 2 message that it has taken, from whoever it comes again',
    changes: [[HAND_OVER, 'state.known.add(id)', '']],
  },
  {
    what: 'a winner that began anew takes what waited before',
    caughtBy:
      'test/broker/hand-over.test.ts: the session that stays takes nothing of one from which its client has parted by a clean start [MQTT5-3.1.2-4]',
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
    caughtBy:
      'test/broker/hand-over.test.ts: what waits in a session that gives way stays there while the disc of the other refuses, and goes when that takes it',
    changes: [
      [
        'session/session.ts',
        'if (isMoving || this.#storage === undefined) this.#answer(answer)',
        'if (message !== undefined) this.#answer(answer)',
      ],
    ],
  },
  {
    what: 'what a session has had before a restart counts as had by the winner only from then on',
    caughtBy:
      'test/broker/session-restored.test.ts: what has come at QoS 2 since the node started has come to it, and is not taken from another session',
    changes: [[RESTORED, "state.subscribedAfter = ''", '']],
  },

  // Rows
  {
    what: 'the row of a session stays when it ends',
    caughtBy: 1,
    changes: [
      [LOCAL, 'if (row?.pid.equals(pid)) {\n      this.#options.table.delete(clientId)', 'if (row?.pid.equals(pid)) {'],
    ],
  },
  {
    what: 'the row of a session that is restored is not written',
    caughtBy: 1,
    changes: [[LOCAL, 'if (stored !== undefined) this.#writeStored(stored, outcome.pid)', '']],
  },
  {
    what: 'others do not learn that a connection has gone',
    caughtBy: 1,
    changes: [
      [LOCAL, 'if (row?.pid.equals(session)) this.#options.table.write({ ...row, connection: undefined, will })', ''],
    ],
  },
  {
    what: 'others do not learn that a stored session has ended',
    caughtBy: 1,
    changes: [[LOCAL, 'this.#options.places.align(clientId)\n    if (row?.pid', 'if (row?.pid']],
  },
  {
    what: 'others do not learn that a session is stored',
    caughtBy: 1,
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
    caughtBy:
      'test/broker/stored-places.test.ts: what an earlier run has left goes when all that are stored have been found',
    changes: [['session/stored/stored-places.ts', "operations.push({ op: 'delete', key: clientId })", 'continue']],
  },

  // Wills
  {
    what: 'the will of a client whose node dies is published by nobody',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client publishes the will when it is due, once',
    changes: [[LOCAL, 'this.#publishWill(clientId, will)\n    this.#settled', 'this.#settled']],
  },
  {
    what: 'each survivor publishes the will',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client publishes it, and other nodes do not',
    changes: [[LOCAL, 'if (isBack || !isHome(clientId)) return', 'if (isBack) return']],
  },
  {
    what: 'the will is published although the client is back',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client does not publish it when the client is back, wherever',
    changes: [
      [LOCAL, 'if (isBack || !isHome(clientId)) return', 'if (!isHome(clientId)) return'],
      [
        LOCAL,
        'if (waiting === undefined || waiting.due.row.connectedAtMs > connectedAtMs) return',
        'if (waiting === undefined || connectedAtMs > -1) return',
      ],
    ],
  },
  {
    what: 'a will that waits for the node that has it is published although its client has been back, and has left',
    caughtBy:
      'test/simulation/cluster/outage.test.ts: a will that waits is not published when its client has been back, and has left, while it waited',
    changes: [
      [
        LOCAL,
        'if (waiting === undefined || waiting.due.row.connectedAtMs > connectedAtMs) return',
        'if (waiting === undefined || connectedAtMs > -1) return',
      ],
    ],
  },
  {
    what: 'the node of a session does not learn that its will was published',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client tells the node of the session when that is back, unless the client has been there since',
    changes: [[LOCAL, '    this.#tellSettled(row)\n', '']],
  },
  {
    what: 'a will is published by the home although its connection lives and has published it',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client leaves one without delay to the connection, if that is on a node that is there',
    changes: [[LOCAL, 'if (isSeenTo(row, will) && connection !== owner && isRunning(connection!)) continue', '']],
  },
  {
    what: 'a will is left to a connection that has died with the session',
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client publishes the will when it is due, once',
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
    caughtBy:
      'test/broker/wills-of-lost-nodes.test.ts: when the node of a session is lost, the home of its client publishes the will when it is due, once',
    changes: [[LOCAL, 'const delayMs = willDelaySec(will, expirySec) * 1000', 'const delayMs = 0']],
  },
  {
    what: 'a restored session publishes its will as well',
    caughtBy:
      'test/broker/sm.test.ts: a session that crashes while it had a connection and is stored, leaves a will with 0 s delay to the one that sees to it',
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
    caughtBy: 'test/broker/session-restored.test.ts: the will and the expiry are due when they were',
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
    caughtBy: 'test/broker/session-restored.test.ts: the will and the expiry are due when they were',
    changes: [[RESTORED, 'state.will = session.will', 'state.will = undefined']],
  },
]

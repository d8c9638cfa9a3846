/** Faults of what is kept for groups. */
import type { Fault } from '../fault.ts'

const KEEPER = 'group/group-keeper.ts'
const GROUPS = 'session/session-groups.ts'
const MOVES = 'session/moving/moves.ts'

export const GROUP_FAULTS: readonly Fault[] = [
  {
    what: 'what a member that ends leaves to its group is not on disc for it',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster PUBACK, when the client of a member of a group goes, for what it leaves to another',
    changes: [
      [
        'session/stored/journal.ts',
        'this.#noteGrouped(keeping(share, { message, keptAtMs: atMs }))',
        'void keeping(share, { message, keptAtMs: atMs })',
      ],
    ],
  },
  {
    what: 'what is kept for a group leaves the disc when it is sent to another node',
    caughtBy:
      'test/broker/group-keeper.test.ts: a message of QoS 1 stays on disc until a node has taken it over, and goes to another member when that is lost',
    changes: [
      [
        KEEPER,
        'if (message.qos < 2) this.#send(attempt, to)',
        'if (message.qos < 2) {\n      this.#send(attempt, to)\n      this.#log.remove(share, message.id)\n    }',
      ],
    ],
  },
  {
    what: 'what is kept for a group leaves the disc when it is given to a session of the node',
    caughtBy:
      'test/broker/group-keeper.test.ts: what is given to a session of the node stays on disc until that takes it off',
    changes: [
      [
        KEEPER,
        "receipt.whenDone(() => this.#tell(attempt, 'handled'))",
        "this.#log.remove(share, message.id)\n      receipt.whenDone(() => this.#tell(attempt, 'handled'))",
      ],
    ],
  },
  {
    what: 'a session that takes what is kept for its group does not remove it in the same commit',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster what is kept for a group goes from the disc when a member has it there',
    changes: [
      ['session/stored/journal.ts', 'this.#noteGrouped(releasing(share, id))', 'void releasing(share, id)'],
      [KEEPER, 'this.#log.settle(share, id)', 'this.#log.remove(share, id)'],
    ],
  },
  {
    what: 'it is not noted to which other node a message of a group goes',
    caughtBy:
      'test/broker/group-keeper.test.ts: a message of QoS 2 goes to a node when that is noted on disc, and when that is lost it alone is asked for it',
    changes: [[KEEPER, 'if (message.qos < 2) this.#send(attempt, to)', 'if (message.qos < 3) this.#send(attempt, to)']],
  },
  {
    what: 'a message of a group goes to another node before that is noted on disc',
    caughtBy:
      'test/broker/group-keeper.test.ts: a message of QoS 2 goes to a node when that is noted on disc, and when that is lost it alone is asked for it',
    changes: [
      [
        KEEPER,
        "else void this.#log.mark(share, attempt, to.pid.node).then(() => this.#tell(attempt, 'marked'))",
        'else {\n      void this.#log.mark(share, attempt, to.pid.node)\n      this.#send(attempt, to)\n    }',
      ],
    ],
  },
  {
    what: 'what another node may have is given to any member of the group',
    caughtBy:
      'test/broker/group-keeper.test.ts: a message of QoS 2 goes to a node when that is noted on disc, and when that is lost it alone is asked for it',
    changes: [[KEEPER, 'if (mayHave !== undefined && this.#canAsk(mayHave)) {', 'if (mayHave === null) {']],
  },
  {
    what: 'what was sent to a node that is lost is not given to anybody else',
    caughtBy:
      'test/broker/group-keeper.test.ts: a message of QoS 1 stays on disc until a node has taken it over, and goes to another member when that is lost',
    changes: [
      [
        KEEPER,
        "case 'lost':\n        this.#give(share, id, to!.pid)",
        "case 'lost':\n        this.#log.remove(share, id)",
      ],
    ],
  },
  {
    what: 'what is kept for groups is not given after a restart',
    caughtBy:
      'test/broker/group-log.prop.test.ts: what was kept for a group is there, in order, until a member has it, over restarts',
    changes: [['group/group-log.ts', 'if (share === undefined) continue', 'continue']],
  },
  {
    what: 'what is kept for a group does not go to a member that comes',
    caughtBy:
      'test/broker/group-keeper.test.ts: what nobody is there for waits for a member that comes, or for a node that says that it is ready, and is lost when none may come',
    changes: [[KEEPER, 'self.onExit(options.routing.onMembers(look))', '']],
  },
  {
    what: 'what is kept for a group does not go to a member whose node was away',
    caughtBy:
      'test/broker/group-keeper.test.ts: what nobody is there for waits for a member that comes, or for a node that says that it is ready, and is lost when none may come',
    changes: [[KEEPER, 'self.onExit(options.away.onRelease(look))', '']],
  },
  {
    what: 'what is kept for a group whose members are on nodes that are away is dropped',
    caughtBy:
      'test/broker/group-keeper.test.ts: what nobody is there for waits for a member that comes, or for a node that says that it is ready, and is lost when none may come',
    changes: [[KEEPER, 'if (this.#isAwaited(share)) return false', '']],
  },
  {
    what: 'publishers do not wait for who has got a message in place of a member that has ended',
    caughtBy:
      'test/broker/session-groups.test.ts: goes to another member of $share/g/t, for which whoever has published it waits',
    changes: [[GROUPS, 'this.#environment.pubsub.subscriber(this.#self.pid)?.waitFor(message, receipt)', '']],
  },
  {
    what: 'what comes for a group to a session that moves in counts as taken over at once',
    caughtBy:
      'test/broker/group-arrival.test.ts: what comes for a group while it joins that is not taken over, and goes to others when it does not become the session',
    changes: [
      [
        MOVES,
        'if (!this.#arrival.deliver(message)) this.#options.backlog.taken(message)',
        'this.#arrival.deliver(message)\n    this.#options.backlog.taken(message)',
      ],
    ],
  },
  {
    what: 'what came for a group to a session that was moving in, and does not, goes to nobody',
    caughtBy:
      'test/broker/group-arrival.test.ts: what comes for a group while it joins that is not taken over, and goes to others when it does not become the session',
    changes: [[MOVES, 'for (const message of owed) this.#options.groups.passOn(clientId, message)', '']],
  },
  {
    what: 'what a session holds of a group that it has left before goes to nobody when it ends',
    caughtBy:
      'test/broker/session-outbound.test.ts: shared subscriptions what it holds of a group that it has left is offered to others when it ends',
    changes: [
      [
        'session/session-outbound.ts',
        'if (state.sharedCount === 0 && !isLast) return',
        'if (state.sharedCount === 0) return',
      ],
    ],
  },
  {
    what: 'a group of $local is known only by its name',
    caughtBy:
      'test/broker/session-groups.test.ts: goes to another member of $local/$share/g/t, for which whoever has published it waits',
    changes: [
      ['routing/shared-sub.ts', 'this.#isLocal ? { ...share, local: true } : share', 'this.#isLocal ? share : share'],
    ],
  },
  {
    what: 'what is left to a group counts as safe before it is on disc',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster PUBACK, when the client of a member of a group goes, for what it leaves to another',
    changes: [['session/stored/journal.ts', 'if (this.#leftWith > written) return 0', '']],
  },
  {
    what: 'a session ends before what it leaves to its groups is on disc',
    caughtBy:
      'test/broker/session-storage.test.ts: in a cluster PUBACK, when the session of a member of a group ends, for what it leaves to another',
    changes: [['session/session.ts', 'return this.#isOver && this.#storage?.isOwing !== true', 'return this.#isOver']],
  },
]

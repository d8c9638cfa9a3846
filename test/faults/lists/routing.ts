/** Faults of routes, of the cache of matches, and of shared subscriptions. */
import type { Fault } from '../fault.ts'

const ROUTING = 'routing/routing.ts'
const PUBSUB = 'routing/pubsub.ts'
const INDEX = 'routing/route-index.ts'
const PARKED = 'routing/parked-routes.ts'
const SHARED = 'routing/shared-sub.ts'
const FORWARDING = 'forward/forwarding.ts'
const SESSION = 'session/session.ts'
const MACHINE = 'session/session-machine.ts'

export const ROUTING_FAULTS: readonly Fault[] = [
  {
    what: 'a route stays after the last unsubscribe',
    caughtBy: 1,
    changes: [
      [
        ROUTING,
        "else operations.push({ op: 'delete_object', row })\n    }",
        "else if (presence !== 'none') operations.push({ op: 'delete_object', row })\n    }",
      ],
    ],
  },
  {
    what: 'routes of lasting sessions are not written to the disc',
    caughtBy: 1,
    changes: [[ROUTING, "this.#alignDurable(key, this.subscribers.presence(key) === 'durable', durable)", '']],
  },
  {
    what: 'routes of lasting sessions are forgotten when a node ends',
    caughtBy:
      'test/broker/parked-routes.test.ts: what members subscribe that are away is known to a node that has been restarted since',
    changes: [
      [
        'tables.ts',
        "key: 'filter',\n  replication: 'owned',\n  copies: 'disc_copies',",
        "key: 'filter',\n  replication: 'owned',\n  copies: 'ram_copies',",
      ],
    ],
  },
  {
    what: 'durable routes of a former run stay',
    caughtBy:
      'test/broker/parked-routes.test.ts: what an earlier run has left goes when the sessions have subscribed again',
    changes: [
      [
        ROUTING,
        "if (this.subscribers.presence(row.filter) !== 'durable') operations",
        "if (row.filter === '') operations",
      ],
    ],
  },
  {
    what: 'a session that is durable from now on has the routes that it had',
    caughtBy: 'test/broker/router.test.ts: the router says in the route whether a session behind it is durable',
    changes: [[ROUTING, 'this.#note(parsed, presence)', '']],
  },
  {
    what: 'SUBACK comes before other members have the route',
    caughtBy:
      'test/broker/router.test.ts: a router of a cluster answers when the members have the route, in order, and not before',
    changes: [['routing/router.ts', "this.#routing.flush({ wait: 'members' })", 'this.#routing.flush({})']],
  },
  {
    what: 'SUBACK overtakes the route of another session that is under way',
    caughtBy:
      'test/broker/router.test.ts: a router of a cluster answers when the members have the route, in order, and not before',
    changes: [
      ['routing/router.ts', 'Promise.all([written ?? [], this.#writing])', 'Promise.all([written ?? [], undefined])'],
    ],
  },
  {
    what: 'routes of a member that is lost are not parked',
    caughtBy: 1,
    changes: [
      [PARKED, "if (event.type === 'hidden') this.park(event.owner)", "if (event.type === 'hidden') return"],
      ['forward/forwarder.ts', 'routing.parked.park(event.node)', ''],
    ],
  },
  {
    what: 'routes of a member that is lost are parked when members are told of it',
    caughtBy:
      'test/broker/parked-routes.test.ts: a member is away from the loss of it until it is ready, in which time it may come and be lost again',
    changes: [[PARKED, "if (event.type === 'hidden') this.park(event.owner)", "if (event.type === 'hidden') return"]],
  },
  {
    what: 'parked routes are forgotten at a restart',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready is away before that, from the start of this node on, and is told that nothing is kept for it',
    changes: [['forward/forwarder.ts', 'options.routing.parked.park(other)', '']],
  },
  {
    what: 'routes are not parked that are heard of while their member is away',
    caughtBy:
      'test/broker/parked-routes.test.ts: who becomes a member while another one is down learns from the others what to keep for it',
    changes: [
      [
        PARKED,
        "else if (event.type === 'parked' && !this.#ready.has(event.owner)) {",
        "else if (event.type === 'never') {",
      ],
    ],
  },
  {
    what: 'routes that are heard of while their member is here are parked',
    caughtBy: 1,
    changes: [
      [
        PARKED,
        "else if (event.type === 'parked' && !this.#ready.has(event.owner)) {",
        "else if (event.type === 'parked') {",
      ],
    ],
  },
  {
    what: 'a message goes to a member that is away although its routes are here',
    caughtBy:
      'test/broker/pubsub.test.ts: nodes with sessions that outlive their connection get what is published as long as they are away, and once when their routes are there again',
    changes: [
      [PUBSUB, 'parked: parked.match(topic).filter((name) => !nodes.has(name))', 'parked: parked.match(topic)'],
    ],
  },
  {
    what: 'a route of a session that ends with its connection hides that of a lasting one',
    caughtBy:
      'test/broker/pubsub.test.ts: nodes with sessions that outlive their connection are told apart, whichever of their filters is found first',
    changes: [[PUBSUB, 'nodes.get(row.node) !== true) nodes', '!nodes.has(row.node)) nodes']],
  },

  // The cache
  {
    what: 'the cache of matches is not dropped by version',
    caughtBy:
      'test/broker/pubsub.test.ts: the match cache follows subscriptions, exact and wildcard, first and later ones, and their options',
    changes: [
      [
        PUBSUB,
        'if (cached !== undefined && cached.wildcardChanges === this.#wildcardChanges) return cached',
        'if (cached !== undefined) return cached',
      ],
    ],
  },
  {
    what: 'the cache of matches stays when an exact filter changes',
    caughtBy: 1,
    changes: [[PUBSUB, 'else this.#cache.delete(filter)', '']],
  },
  {
    what: 'the cache of matches stays when nodes come and go, or are parked',
    caughtBy: 'test/broker/pubsub.test.ts: other nodes get nothing while they are lost, and again when they are back',
    changes: [
      [INDEX, 'onChange(ALL)', ''],
      [
        ROUTING,
        "new ParkedRoutes(this.#durable, () => changed('#'))",
        'new ParkedRoutes(this.#durable, () => undefined)',
      ],
    ],
  },
  {
    what: 'the cache of matches stays when nodes are parked',
    caughtBy:
      'test/broker/pubsub.test.ts: nodes with sessions that outlive their connection get what is published as long as they are away, and once when their routes are there again',
    changes: [
      [
        ROUTING,
        "new ParkedRoutes(this.#durable, () => changed('#'))",
        'new ParkedRoutes(this.#durable, () => undefined)',
      ],
    ],
  },
  {
    what: 'the trie does not follow nodes that come and go',
    caughtBy: 'test/broker/pubsub.test.ts: other nodes get nothing while they are lost, and again when they are back',
    changes: [[INDEX, 'for (const row of routes.rowsOf(event.owner)) this.#follow(row.filter)', '']],
  },
  {
    what: 'a wildcard stays in the trie when its last route goes',
    caughtBy: 1,
    changes: [[INDEX, 'else this.trie.delete(filter)', '']],
  },

  // Shared subscriptions
  {
    what: 'a message goes to two members of a group',
    caughtBy:
      'test/broker/shared-sub.test.ts: a shared subscription delivers each message to one member of each group, and to ordinary subscribers besides',
    changes: [
      [
        PUBSUB,
        'const held = chosen.get(member)',
        'const second = share.pick(this.#strategy, message, this.#random, member.pid)\n      if (second !== undefined) chosen.set(second, [...(chosen.get(second) ?? []), message])\n      const held = chosen.get(member)',
      ],
    ],
  },
  {
    what: 'the row of a member stays when its session ends',
    caughtBy: 1,
    changes: [[ROUTING, "this.#unwrittenOf(filter).members.push({ op: 'delete_object', row })", '']],
  },
  {
    what: 'members of a group stay when their node is lost',
    caughtBy: 1,
    changes: [[SHARED, 'for (const row of this.#table.rowsOf(event.owner)) this.#remove(row)', '']],
  },
  {
    what: 'members of a group on a node that comes are not seen',
    caughtBy: 'test/broker/shared-sub.test.ts: a shared subscription reaches members of other nodes by their rows',
    changes: [[SHARED, 'for (const row of this.#table.rowsOf(event.owner)) this.#put(row)', '']],
  },
  {
    what: 'other nodes are not told whether the client of a member is there',
    caughtBy:
      'test/broker/shared-sub.test.ts: a shared subscription a member of another node whose client is away gets messages only when nobody else is there',
    changes: [[ROUTING, 'this.#writeMember(subscriber, partsOf(each.key), each.matched)', '']],
  },
  {
    what: 'a member whose client is away is chosen although others are there',
    caughtBy:
      'test/broker/shared-sub.test.ts: a shared subscription a member of another node whose client is away gets messages only when nobody else is there',
    changes: [
      [
        SHARED,
        "if (availability === 'online') return this.#choose(strategy, member)",
        "if (availability !== 'down') return this.#choose(strategy, member)",
      ],
    ],
  },
  {
    what: 'what a member holds that ends goes to nobody',
    caughtBy:
      'test/broker/session.test.ts: shared subscriptions no message is lost when members come and go while messages come',
    changes: [[MACHINE, 'redispatch(state, nowMs, effects)\n  for (const { message } of', 'for (const { message } of']],
  },
  {
    what: 'what a member holds whose client goes is not offered to others',
    caughtBy:
      'test/broker/session.test.ts: shared subscriptions each message goes to one member, and those of a member that goes to the others',
    changes: [[MACHINE, 'redispatch(state, nowMs, effects)\n  dropQoS0Offline', 'dropQoS0Offline']],
  },
  {
    what: 'what comes to a member that has ended goes to nobody',
    caughtBy:
      'test/broker/session.test.ts: shared subscriptions what comes to a member that has ended, as long as the groups do not know that, goes to others',
    changes: [
      [SESSION, 'if (this.state.ended) this.#groups.passOn(this.state.clientId, message)\n        else {', '{'],
    ],
  },
  {
    what: 'a member ends before the groups know',
    caughtBy:
      'test/broker/session.test.ts: shared subscriptions what comes to a member that has ended, as long as the groups do not know that, goes to others',
    changes: [[SESSION, 'if (!this.#router.farewell(state)) this.#isOver = true', 'this.#isOver = true']],
  },
  {
    what: 'what was sent to a member of a group that is lost goes to nobody',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a member of a group goes to another one when it is not there, and is not kept',
    changes: [[FORWARDING, 'if (lost.length > 0) {', 'if (lost === undefined) {']],
  },
  {
    what: 'what was sent to a member of a group that is not there any more goes to nobody',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a member of a group goes to another one when it is not there, and is not kept',
    changes: [[FORWARDING, 'if (entry !== undefined) this.#failed(node, entry, false)', 'entry?.receipt?.taken()']],
  },
  {
    what: 'what was sent to a member of a group that is lost is not kept for members that are away',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a member of a group goes to another one when its node is lost, or is kept for one that is away, but for QoS 0, which it may have got',
    changes: [[FORWARDING, "mayHave ? 'parked' : 'given_up'", "'given_up'"]],
  },
  {
    what: 'nothing is kept for a group whose members are all away',
    caughtBy:
      'test/broker/pubsub.test.ts: nodes with sessions that outlive their connection are kept for as a group, once, if that has no member here',
    changes: [[PUBSUB, 'parkedShares: this.#parkedShares(topic)', 'parkedShares: NONE']],
  },
  {
    what: 'what is published is kept for a group although it has members that are here',
    caughtBy:
      'test/broker/pubsub.test.ts: nodes with sessions that outlive their connection are kept for as a group, once, if that has no member here',
    changes: [
      [PUBSUB, 'return away.filter(({ filter, group }) => !global.groups.of(filter).has(group))', 'return away'],
    ],
  },
  {
    what: 'the node of a group does not know QoS 2 messages by their ids',
    caughtBy:
      'test/broker/forwarder.test.ts: a QoS 2 message that has come for a member of a group does not come for another one when it was kept as well',
    changes: [
      ['forward/forwarder.ts', 'return qos < 2 || this.#options.recent', 'return qos < 3 || this.#options.recent'],
    ],
  },
  {
    what: 'QoS 0 for a member of a group whose link is lost goes to another one',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a member of a group goes to another one when its node is lost, or is kept for one that is away, but for QoS 0, which it may have got',
    changes: [
      [
        FORWARDING,
        'const lost = mayHave ? messages.filter(({ qos }) => Math.min(qos, run!.matched.qos) > 0) : messages',
        'const lost = messages',
      ],
    ],
  },
  {
    what: 'a member that has ended and is not removed yet takes what is sent to it',
    caughtBy:
      'test/broker/pubsub.test.ts: what another node has sent to a member that has died is not taken, although its subscriptions are not all removed',
    changes: [
      [
        PUBSUB,
        "if (subscriber === undefined || subscriber.availability === 'down') return false",
        'if (subscriber === undefined) return false',
      ],
    ],
  },
]

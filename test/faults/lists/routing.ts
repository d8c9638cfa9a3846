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
    changes: [[ROUTING, "this.#alignDurable(key, this.subscribers.presence(key) === 'durable', durable)", '']],
  },
  {
    what: 'routes of lasting sessions are forgotten when a node ends',
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
    changes: [[ROUTING, 'this.#note(parsed, presence)', '']],
  },
  {
    what: 'SUBACK comes before other members have the route',
    changes: [['routing/router.ts', "this.#routing.flush({ wait: 'members' })", 'this.#routing.flush({})']],
  },
  {
    what: 'SUBACK overtakes the route of another session that is under way',
    changes: [
      ['routing/router.ts', 'Promise.all([written ?? [], this.#writing])', 'Promise.all([written ?? [], undefined])'],
    ],
  },
  {
    what: 'routes of a member that is lost are not parked',
    changes: [
      [PARKED, "if (event.type === 'hidden') this.park(event.owner)", "if (event.type === 'hidden') return"],
      ['forward/forwarder.ts', 'routing.parked.park(event.node)', ''],
    ],
  },
  {
    what: 'routes of a member that is lost are parked when members are told of it',
    changes: [[PARKED, "if (event.type === 'hidden') this.park(event.owner)", "if (event.type === 'hidden') return"]],
  },
  {
    what: 'parked routes are forgotten at a restart',
    changes: [['forward/forwarder.ts', 'options.routing.parked.park(other)', '']],
  },
  {
    what: 'routes are not parked that are heard of while their member is away',
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
    changes: [
      [PUBSUB, 'parked: parked.match(topic).filter((name) => !nodes.has(name))', 'parked: parked.match(topic)'],
    ],
  },
  {
    what: 'a route of a session that ends with its connection hides that of a lasting one',
    changes: [[PUBSUB, 'nodes.get(row.node) !== true) nodes', '!nodes.has(row.node)) nodes']],
  },

  // The cache
  {
    what: 'the cache of matches is not dropped by version',
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
    changes: [[PUBSUB, 'else this.#cache.delete(filter)', '']],
  },
  {
    what: 'the cache of matches stays when nodes come and go, or are parked',
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
    changes: [[INDEX, 'for (const row of routes.rowsOf(event.owner)) this.#follow(row.filter)', '']],
  },
  {
    what: 'a wildcard stays in the trie when its last route goes',
    changes: [[INDEX, 'else this.trie.delete(filter)', '']],
  },

  // Shared subscriptions
  {
    what: 'a message goes to two members of a group',
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
    changes: [[ROUTING, "this.#unwrittenOf(filter).members.push({ op: 'delete_object', row })", '']],
  },
  {
    what: 'members of a group stay when their node is lost',
    changes: [[SHARED, 'for (const row of this.#table.rowsOf(event.owner)) this.#remove(row)', '']],
  },
  {
    what: 'members of a group on a node that comes are not seen',
    changes: [[SHARED, 'for (const row of this.#table.rowsOf(event.owner)) this.#put(row)', '']],
  },
  {
    what: 'other nodes are not told whether the client of a member is there',
    changes: [[ROUTING, 'this.#writeMember(subscriber, partsOf(each.key), each.matched)', '']],
  },
  {
    what: 'a member whose client is away is chosen although others are there',
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
    changes: [[MACHINE, 'redispatch(state, nowMs, effects)\n  for (const { message } of', 'for (const { message } of']],
  },
  {
    what: 'what a member holds whose client goes is not offered to others',
    changes: [[MACHINE, 'redispatch(state, nowMs, effects)\n  dropQoS0Offline', 'dropQoS0Offline']],
  },
  {
    what: 'what comes to a member that has ended goes to nobody',
    changes: [
      [SESSION, 'if (this.state.ended) this.#groups.passOn(this.state.clientId, message)\n        else {', '{'],
    ],
  },
  {
    what: 'a member ends before the groups know',
    changes: [[SESSION, 'if (!this.#router.farewell(state)) this.#isOver = true', 'this.#isOver = true']],
  },
  {
    what: 'what was sent to a member of a group that is lost goes to nobody',
    changes: [[FORWARDING, 'if (lost.length > 0) {', 'if (lost === undefined) {']],
  },
  {
    what: 'what was sent to a member of a group that is not there any more goes to nobody',
    changes: [[FORWARDING, 'if (entry !== undefined) this.#failed(node, entry, false)', 'entry?.receipt?.taken()']],
  },
  {
    what: 'what was sent to a member of a group that is lost is not kept for members that are away',
    changes: [[FORWARDING, "mayHave ? 'parked' : 'given_up'", "'given_up'"]],
  },
  {
    what: 'nothing is kept for a group whose members are all away',
    changes: [[PUBSUB, 'parkedShares: this.#parkedShares(topic)', 'parkedShares: NONE']],
  },
  {
    what: 'what is published is kept for a group although it has members that are here',
    changes: [
      [PUBSUB, 'return away.filter(({ filter, group }) => !global.groups.of(filter).has(group))', 'return away'],
    ],
  },
  {
    what: 'the node of a group does not know QoS 2 messages by their ids',
    changes: [
      ['forward/forwarder.ts', 'return qos < 2 || this.#options.recent', 'return qos < 3 || this.#options.recent'],
    ],
  },
  {
    what: 'QoS 0 for a member of a group whose link is lost goes to another one',
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
    changes: [
      [
        PUBSUB,
        "if (subscriber === undefined || subscriber.availability === 'down') return false",
        'if (subscriber === undefined) return false',
      ],
    ],
  },
]

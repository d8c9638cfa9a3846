/** Faults of what is on its way to other nodes, and of what is kept for those that are away. */
import type { Fault } from '../fault.ts'

const FORWARDING = 'forward/forwarding.ts'
const FORWARDER = 'forward/forwarder.ts'
const HINTS = 'forward/hints.ts'
const PEER = 'forward/peer.ts'
const PASSING_ON = 'forward/passing-on.ts'
const FORMER = 'session/former-sessions.ts'

export const FORWARDING_FAULTS: readonly Fault[] = [
  // Receipts
  {
    what: 'publishers do not wait for other nodes',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher waits until a node has taken over what was sent to it, on this stream',
    changes: [[FORWARDING, 'const receipt = peer.isLate ? undefined : entry.receipt', 'const receipt = undefined']],
  },
  {
    what: 'forwards are confirmed before the sessions have them on disc',
    caughtBy: 'test/broker/forwarder.test.ts: what was forwarded is confirmed when the sessions have it on disc',
    changes: [[FORWARDER, 'if (receipt === undefined) {\n      this.#dueTo', 'if (seq > 0) {\n      this.#dueTo']],
  },
  {
    what: 'the wait for a node that stands still has no bound',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher goes on when a node says nothing, which then holds up nobody until it speaks',
    changes: [[FORWARDING, 'sentAtMs + waitMs > nowMs', 'sentAtMs > 0']],
  },
  {
    what: 'the wait for other nodes is measured with a clock that may be set back',
    caughtBy:
      'test/simulation/cluster/outage.test.ts: publishers wait no longer for a node that stands still when the clock of theirs is set back',
    changes: [
      [FORWARDING, 'sentAtMs: runtime.clock.monotonic()', 'sentAtMs: runtime.clock.now()'],
      [FORWARDER, 'this.#self.runtime.clock.monotonic()', 'this.#self.runtime.clock.now()'],
    ],
  },
  {
    what: 'each publish waits anew for a node that stands still',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher goes on when a node says nothing, which then holds up nobody until it speaks',
    changes: [[FORWARDING, 'peer.isLate = true', '']],
  },
  {
    what: 'a node that stood still once is not waited for any more',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher goes on when a node says nothing, which then holds up nobody until it speaks',
    changes: [
      [FORWARDING, 'peer.isLate = false\n    for (', 'for ('],
      [FORWARDING, 'peer.isLate = false\n    peer.isOwedWord', 'peer.isOwedWord'],
      [PEER, 'this.isLate = false', ''],
    ],
  },
  {
    what: 'publishers do not go on when the link to a node is lost',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher goes on when the connection has ended, and what follows is of another stream',
    changes: [[FORWARDER, 'forwarding.settleFailed(message.node)', '']],
  },

  {
    what: 'what a session of another node has in memory only counts as safe',
    caughtBy:
      'test/broker/forwarder.test.ts: what a session has in memory only, since its disc refuses, is confirmed as that',
    changes: [[FORWARDER, 'isSafe: !receipt.hasFailed', 'isSafe: true']],
  },
  {
    what: 'publishers are not told that the disc refuses what is kept',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher is told when a node has what was sent to it in memory only, or a disc does not take what is kept',
    changes: [[FORWARDING, 'receipt?.failed()\n    })', 'taken()\n    })']],
  },

  // Streams
  {
    what: 'the stream goes on when the link was lost',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher goes on when the connection has ended, and what follows is of another stream',
    changes: [[PEER, 'this.stream += 1', '']],
  },
  {
    what: 'what is said of a stream that is over counts for the next one',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a publisher waits until a node has taken over what was sent to it, on this stream',
    changes: [
      [FORWARDING, 'if (peer === undefined || peer.stream !== stream) return', 'if (peer === undefined) return'],
    ],
  },
  {
    what: 'of a message that was lost with a link the number passes for one that has come',
    caughtBy:
      'test/broker/hints.prop.test.ts: what has come on the last streams of a node is known, whatever its order',
    changes: [['forward/seen.ts', 'known = { stream, from: seq,', 'known = { stream, from: 0,']],
  },
  {
    what: 'the end of a connection is noticed when members are told of it',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
    changes: [[FORWARDER, "if (event.tag === 'nodedown') this.#disconnected(event.node)", '']],
  },
  {
    what: 'a forwarder that was started anew behind a link that holds is not noticed',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a forwarder that has been started anew since is kept for it, behind a link that holds',
    changes: [[FORWARDING, 'if (peer.forwarder !== forwarder && this.#giveUp(node)) this.settleFailed(node)', '']],
  },
  {
    what: 'the forwarder does not know QoS 2 messages by their ids',
    caughtBy: 'test/broker/forwarder.test.ts: a QoS 2 message that comes twice is taken once, be it forwarded or kept',
    changes: [[FORWARDER, 'if (qos < 2) return true', 'if (qos < 3) return true']],
  },
  {
    what: 'what was forwarded to sessions that end with their connection counts as had by the others',
    caughtBy:
      'test/broker/forwarder.test.ts: what is forwarded to sessions that end with their connection, and kept for others, comes to each once',
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
    caughtBy:
      'test/broker/arrivals.test.ts: of what clients of the node have published at QoS 2 it is known when it came',
    changes: [['services.ts', 'if (qos === 2) recent.durable.add(id)', 'if (qos > 2) recent.durable.add(id)']],
  },

  // What is kept
  {
    what: 'what was not confirmed is not kept when the link is lost',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a forwarder that has been started anew since is kept for it, behind a link that holds',
    changes: [
      [
        FORWARDING,
        'for (const { messages } of entry.batches) this.#keep(node, { messages, stream, seq }, entry.receipt)',
        'void 0',
      ],
    ],
  },
  {
    what: 'what follows overtakes what is kept',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is given page by page, each until it has been taken over, and what follows behind it',
    changes: [[FORWARDING, '(hints.has(node) || !peer', '(!peer']],
  },
  {
    what: 'what is published before a node is ready is sent to it',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is kept, and sent at once to those who end with their connection; its publisher waits for both',
    changes: [[FORWARDING, '|| !peer.isReady || peer.isLate)', '|| peer.isLate)']],
  },
  {
    what: 'what is kept is sent as well',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
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
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is kept, and sent at once to those who end with their connection; its publisher waits for both',
    changes: [[FORWARDING, "this.#send(node, batches, receipt, NONE, 'volatile')", '']],
  },
  {
    what: 'what is sent to sessions that end with their connection reaches the others too',
    caughtBy:
      'test/broker/forwarder.test.ts: what is forwarded to sessions that end with their connection, and kept for others, comes to each once',
    changes: [
      ['routing/pubsub.ts', "if (reach !== 'all' && subscriber.durable !== (reach === 'durable')) continue", ''],
    ],
  },
  {
    what: 'what was kept reaches sessions that end with their connection',
    caughtBy:
      'test/broker/forwarder.test.ts: what is forwarded to sessions that end with their connection, and kept for others, comes to each once',
    changes: [[FORWARDER, "this.#dispatch(node, plain, 'durable')", "this.#dispatch(node, plain, 'all')"]],
  },
  {
    what: 'a hint is not on disc when its publisher is acknowledged',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is kept, and sent at once to those who end with their connection; its publisher waits for both',
    changes: [
      [FORWARDING, 'receipt?.expect()', ''],
      [FORWARDING, 'const taken = () => receipt?.taken()', 'const taken = () => undefined'],
    ],
  },
  {
    what: 'hints are forgotten at a restart',
    caughtBy:
      'test/broker/hints.prop.test.ts: what was added is given out in order until it is confirmed, some of it by itself, over restarts; what is not given out is counted',
    changes: [[HINTS, 'this.#logs.set(space.slice(SPACE.length), log)', '']],
  },
  {
    what: 'hints are read in the order of their texts after a restart',
    caughtBy:
      'test/broker/hints.prop.test.ts: they are given out in the order of their numbers after a restart, however many there are',
    changes: [[HINTS, "String(number).padStart(KEY_DIGITS, '0')", 'String(number)']],
  },
  {
    what: 'hints are not given when a member is ready',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
    changes: [[FORWARDING, 'const page = hints?.read(peer.node, HINT_PAGE_BYTES)', 'const page = undefined']],
  },
  {
    what: 'a node that has kept nothing does not say so',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready is away before that, from the start of this node on, and is told that nothing is kept for it',
    changes: [[FORWARDING, 'if (page === undefined && !peer.isOwedWord) return', 'if (page === undefined) return']],
  },
  {
    what: 'a page is all there is',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is given page by page, each until it has been taken over, and what follows behind it',
    changes: [[FORWARDING, 'peer.isGiven = false\n    this.#give(peer)', '']],
  },
  {
    what: 'hints are given one by one, and the last page is not known',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
    changes: [
      [FORWARDING, 'const HINT_PAGE_BYTES = 262_144', 'const HINT_PAGE_BYTES = 1'],
      [HINTS, 'more: log.count > hints.length', 'more: false'],
    ],
  },
  {
    what: 'hints are removed when they are sent',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is given page by page, each until it has been taken over, and what follows behind it',
    changes: [
      [
        FORWARDING,
        'peer.isGiven = page !== undefined',
        'peer.isGiven = page !== undefined\n    if (page !== undefined) hints?.remove(peer.node, page.last)',
      ],
    ],
  },
  {
    what: 'hints are confirmed before the sessions have them on disc',
    caughtBy: 'test/broker/forwarder.test.ts: what was kept is confirmed when the sessions have it on disc',
    changes: [
      [FORWARDER, 'if (receipt.isDone) {\n      this.#sayHinted', 'if (page.last >= 0) {\n      this.#sayHinted'],
    ],
  },
  {
    what: 'hints that had come are confirmed before the sessions have on disc what came first',
    caughtBy:
      'test/broker/forwarder.test.ts: what comes once more is confirmed when the sessions have on disc what came first',
    changes: [[FORWARDER, 'if (hints.length > 0) this.#untaken.joinedTo(receipt)', '']],
  },
  {
    what: 'pages of hints that are not on disc yet count as taken when they come once more',
    caughtBy:
      'test/broker/forwarder.test.ts: what was kept and is given once more is confirmed when the sessions have on disc what came first',
    changes: [[FORWARDER, 'this.#untaken.add(taking)', '']],
  },
  {
    what: 'forwards that had come are confirmed before the sessions have on disc what came first',
    caughtBy:
      'test/broker/forwarder.test.ts: what comes once more is confirmed when the sessions have on disc what came first',
    changes: [[FORWARDER, 'repeated === undefined ? own : this.#untaken.joinedTo(own)', 'own']],
  },
  {
    what: 'what an earlier incarnation of a node had kept and a member has taken counts for this one',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is kept stays when a node has taken over what an earlier incarnation had kept under the same numbers',
    changes: [[FORWARDING, 'if (creation !== undefined && creation !== runtime.node.creation) return', '']],
  },
  {
    what: 'a node does not say of which incarnation it has taken what was kept',
    caughtBy: 'test/broker/forwarder.test.ts: what was kept is confirmed when the sessions have it on disc',
    changes: [[FORWARDER, 'node: this.#self.pid.node, last, creation }', 'node: this.#self.pid.node, last }']],
  },
  {
    what: 'a page that was taken removes all hints',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what is published for a node that is not ready is given page by page, each until it has been taken over, and what follows behind it',
    changes: [[HINTS, 'while (log.first <= last && log.first < log.next) this', 'while (log.first < log.next) this']],
  },
  {
    what: 'hints that were taken are not removed',
    caughtBy: 1,
    changes: [[HINTS, 'store.commit([{ space: SPACE + node, key, value: undefined }])', '']],
  },
  {
    what: 'hints that had come as forwards are taken again',
    caughtBy: 'test/broker/forwarder.test.ts: what was kept and had come before it was is not taken again',
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
    caughtBy: 'test/broker/forwarder.test.ts: a member has given what it has kept when the last page has come',
    changes: [[FORWARDER, 'if (!more) this.#given(node)', 'this.#given(node)']],
  },
  {
    what: 'a member that was lost and is back has given what it has kept',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready may have kept something until it has given it, each time that it is lost',
    changes: [[FORWARDING, 'this.#given.delete(node)', '']],
  },

  // What is on its way to a node that stands still
  {
    what: 'what a node that stands still has not confirmed is not kept',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
    changes: [[FORWARDING, 'if (kept === undefined) this.#keepUnderWay(peer, seq, receipt)', '']],
  },
  {
    what: 'what a node that stands still has not confirmed is not on disc when its publisher goes on',
    caughtBy:
      'test/broker/forwarding.test.ts: what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order',
    changes: [
      [
        FORWARDING,
        'if (kept === undefined) this.#keepUnderWay(peer, seq, receipt)',
        'if (kept === undefined) this.#keepUnderWay(peer, seq, undefined)',
      ],
    ],
  },
  {
    what: 'what is on its way to members of groups on a node that stands still is not kept',
    caughtBy:
      'test/broker/forwarding.test.ts: what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order',
    changes: [[PEER, 'return run.matched.qos > 0 ? [run.batch as Batch] : []', 'return []']],
  },
  {
    what: 'what follows for members of groups on a node that stands still is not kept',
    caughtBy:
      'test/broker/forwarding.test.ts: what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order',
    changes: [[FORWARDING, 'if (peer.isLate) this.#keepUnderWay(peer, seq, receipt)', '']],
  },
  {
    what: 'what follows is sent to a node that stands still, and not kept',
    caughtBy: 'test/broker/forwarding.test.ts: what follows is kept also when nothing before it had to be',
    changes: [[FORWARDING, '|| !peer.isReady || peer.isLate)', '|| !peer.isReady)']],
  },
  {
    what: 'what is published when no more may be on its way is dropped',
    caughtBy:
      'test/broker/forwarding.test.ts: what is published when no more may be on its way is kept, and comes in order',
    changes: [
      [
        FORWARDING,
        'if (mustKeep && peer.isReady && !peer.hasRoom(weightOf(batches).bytes, maxBytes)) this.#late(peer)',
        '',
      ],
      [
        FORWARDING,
        'if (receipt !== undefined && hints !== undefined && !hasRoom)',
        'if (receipt !== undefined && hints === undefined && !hasRoom)',
      ],
    ],
  },
  {
    what: 'what is kept behind what is on its way is given before that is confirmed',
    caughtBy:
      'test/broker/forwarding.test.ts: what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order',
    changes: [[FORWARDING, ' || peer.keptUnderWay > 0', '']],
  },
  {
    what: 'what a node that stood still confirms stays kept',
    caughtBy:
      'test/broker/forwarding.test.ts: what a node that stands still has not confirmed is on disc when its publisher goes on, and what it has not got by then comes in order',
    changes: [[FORWARDING, 'this.#forgetKept(node, entry)\n        if (unsafe', 'if (unsafe']],
  },
  {
    what: 'what other members of a group have got is kept for the node that stood still as well',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: what was sent to a member of a group is not kept for its node any longer when others have got it, be that node waited for in vain before',
    changes: [
      [FORWARDING, 'if (!others.hasFailed) this.#forgetKept(node, entry)', ''],
      [
        FORWARDING,
        'if (others === undefined) this.#forgetKept(node, entry)\n        else receipt',
        'if (others !== undefined) receipt',
      ],
    ],
  },
  {
    what: 'what is on its way and kept is kept once more when the link is lost',
    caughtBy:
      'test/broker/forwarding.test.ts: what is sent after the end of a connection does not overtake what was on its way, whoever has heard of the end',
    changes: [[FORWARDING, 'if (entry.kept === undefined)\n        for (', 'for (']],
  },

  // What comes too late for a session that has given way
  {
    what: 'a session that gives way is not noted',
    caughtBy:
      'test/broker/give-way.test.ts: a session that has given way is known as long as other members may have something for it',
    changes: [['session/giving-way.ts', 'if (!this.#isNoted && !isCopy', 'if (isCopy && !isCopy']],
  },
  {
    what: 'that a session has given way is forgotten at a restart',
    caughtBy:
      'test/broker/passing-on.test.ts: a member that has given all is waited for no more, nor is one that is none any more, also after a restart',
    changes: [
      [FORMER, 'for (const [, value] of options.store?.entries(SPACE) ?? []) {', 'for (const value of NONE) {'],
    ],
  },
  {
    what: 'of what comes for a session that has given way only what was kept is passed on',
    caughtBy:
      'test/broker/forwarder.test.ts: what is forwarded for a session that has given way is kept for the node where that is, and confirmed when it is on disc',
    changes: [[FORWARDER, "if (reach === 'volatile' || !", "if (reach !== 'durable' || !"]],
  },
  {
    what: 'what is passed on is confirmed before it is kept',
    caughtBy:
      'test/broker/forwarder.test.ts: what is forwarded for a session that has given way is kept for the node where that is, and confirmed when it is on disc',
    changes: [
      [FORWARDER, 'this.#passingOn.passOn(node, fresh, all)', 'this.#passingOn.passOn(node, fresh, new Receipt())'],
    ],
  },
  {
    what: 'what is passed on is confirmed before the session has it on disc',
    caughtBy:
      'test/broker/forwarder.test.ts: what is passed on for a session comes to that alone, and is confirmed when it says that it is on disc',
    changes: [
      [
        FORWARDER,
        'this.#passingOn.take(heir, messages, receipt)',
        'this.#passingOn.take(heir, messages, new Receipt())',
      ],
    ],
  },
  {
    what: 'what is passed on for one session reaches all of its node',
    caughtBy:
      'test/broker/forwarder.test.ts: what is passed on for a session comes to that alone, and is confirmed when it says that it is on disc',
    changes: [[FORWARDER, 'share === undefined && heir === undefined', 'share === undefined']],
  },
  {
    what: 'a member counts as having given all for a session that has given way, whatever it has',
    caughtBy:
      'test/broker/forwarder.test.ts: a member has given all for a session that has given way when it has answered that it has nothing any more',
    changes: [[FORWARDER, 'else if (this.#fences.hasCome(message)) this.#passingOn', 'else this.#passingOn']],
  },
  {
    what: 'a session that has given way is waited for by members that are none any more',
    caughtBy:
      'test/broker/passing-on.test.ts: a member that has given all is waited for no more, nor is one that is none any more, also after a restart',
    changes: [[FORMER, 'waitsFor.filter((node) => others.includes(node))', 'waitsFor']],
  },
  {
    what: 'nobody asks the members for a session that has given way',
    caughtBy:
      'test/broker/forwarder.test.ts: a member has given all for a session that has given way when it has answered that it has nothing any more',
    changes: [[PASSING_ON, 'for (const node of nodes) {', 'for (const node of [] as string[]) {']],
  },
  {
    what: 'what is passed on to a session that is being started is dropped',
    caughtBy:
      'test/broker/passing-on.test.ts: a session is given what was passed on until it has taken it, when it is being started as well',
    changes: [[PASSING_ON, 'if (row === undefined && places.of(clientId).includes(node)) {', 'if (row === null) {']],
  },
  {
    what: 'what is passed on goes no further when the session is not there any more',
    caughtBy:
      'test/broker/passing-on.test.ts: what is passed on goes further with the session, and is counted when there is none any more',
    changes: [
      [
        PASSING_ON,
        "if (to === undefined) reportDropped(environment, clientId, 'session_ended', messages)\n    else this",
        "if (to === '') this",
      ],
    ],
  },
  {
    what: 'a session on its way to another node takes what is handed to it',
    caughtBy: 'test/broker/group-arrival.test.ts: what another session hands over is refused until it is the session',
    changes: [['session/session.ts', 'const isMoving = this.#moves?.isUnderWay === true', 'const isMoving = false']],
  },

  // Readiness
  {
    what: 'a node says that it is ready before its sessions are there',
    caughtBy:
      'test/broker/session-restorer.test.ts: the start of the restorer is over, and what a former run has left goes, when all sessions are there',
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
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready gets what is kept when its routes are seen',
    changes: [[FORWARDER, 'if (this.#options.routing.global.routes.isVisible(message.node)) this', 'this']],
  },
  {
    what: 'a node that asks who is ready gets no answer',
    caughtBy: 1,
    changes: [[FORWARDER, 'if (message.asks) this.#sayReady(message.node, false)', '']],
  },
  {
    what: 'what a node has said before it was lost counts when it is back',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready has to say it anew when it was lost before that',
    changes: [[FORWARDER, 'this.#early.delete(event.node)', '']],
  },
  {
    what: 'the word of a member that is lost is heard afterwards, and stands',
    caughtBy:
      'test/broker/forwarding-steps.test.ts: a node that says that it is ready is away when it was lost, although it was heard only then',
    changes: [[FORWARDER, 'away.lost(event.node)', '']],
  },
  {
    what: 'parked routes stay when the member is ready',
    caughtBy: 1,
    changes: [[FORWARDER, 'routing.parked.release(node)', '']],
  },
]

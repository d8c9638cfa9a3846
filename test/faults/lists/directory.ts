/** Faults of who decides about a client id, and of the wait for members that are away. */
import type { Fault } from '../fault.ts'

const DIRECTORY = 'session/directory.ts'
const AWAY = 'session/away-members.ts'

export const DIRECTORY_FAULTS: readonly Fault[] = [
  {
    what: 'the home lets two connections of a client id pass at once',
    caughtBy:
      'test/broker/sm.test.ts: take-over 100 connections at once with one client id leave one session and one connection (seed 1)',
    changes: [
      [
        DIRECTORY,
        'const opening = this.#openings.get(clientId)\n    const claim = { client, manager }',
        'const opening = undefined\n    const claim = { client, manager }',
      ],
    ],
  },
  {
    what: 'a lease is not given up when its holder dies',
    caughtBy: 1,
    changes: [
      ['session/sm.ts', 'if (!this.#directory.down(message)) this.#local.down(message)', 'this.#local.down(message)'],
    ],
  },
  {
    what: 'a claim is taken twice that comes again from a new home',
    caughtBy: 'test/broker/directory.test.ts: a claim that comes again is not taken twice',
    changes: [
      [
        DIRECTORY,
        'if (!known.some((other) => other.client.connection.equals(connection))) opening',
        'if (known.length > 0) opening',
      ],
    ],
  },
  {
    what: 'connections do not ask the next home',
    caughtBy:
      'test/simulation/silent-home.test.ts: clients are let in while a node stands still, at first after two seconds, then at once',
    changes: [['session/sm.ts', 'else if (!this.#homes.decides(home)) this.#claim(client)', '']],
  },
  {
    what: 'a home that stands still is not passed by',
    caughtBy:
      'test/simulation/silent-home.test.ts: clients are let in while a node stands still, at first after two seconds, then at once',
    changes: [['session/silent-homes.ts', 'this.#homes.silence(home)', '']],
  },
  {
    what: 'a home that has stood still takes claims that are over',
    caughtBy:
      'test/simulation/silent-home.test.ts: a claim that a home finds when it goes on does not close the connection that has come after it',
    changes: [['session/silent-homes.ts', 'return ms > leastMs + LATE_MS', 'return ms > leastMs + 1e9']],
  },
  {
    what: 'a manager does not ask again whose claim was not taken',
    caughtBy: 'test/broker/homes.test.ts: a home that has not taken a claim is asked again, whenever that was sent',
    changes: [
      ['session/sm.ts', 'if (this.#pending.has(message.client.connection.key)) this.#claim(message.client, true)', ''],
    ],
  },
  {
    what: 'a former home goes on with those who wait there',
    caughtBy: 'test/broker/directory.test.ts: those who wait where another home decides now ask there',
    changes: [[DIRECTORY, 'if (isOurs(clientId)) continue', 'continue']],
  },
  {
    what: 'a member decides before its session manager is there',
    caughtBy: 'test/broker/homes.test.ts: a member decides as soon as its session manager is there',
    changes: [
      [
        'session/home.ts',
        'const deciding = this.#running.filter((name) => this.#managers.has(name))',
        'const deciding = this.#running',
      ],
    ],
  },
  {
    what: 'a connection that has its answer stays among those that have none',
    caughtBy: 1,
    changes: [['session/sm.ts', 'this.#pending.delete(message.client.connection.key)', '']],
  },
  {
    what: 'home_wait is not honoured',
    caughtBy: 1,
    changes: [[DIRECTORY, 'if (leftMs <= 0) return false', 'return false']],
  },
  {
    what: 'home_wait has no end',
    caughtBy:
      'test/simulation/held-clients.test.ts: it is held for so long from the start of that node, and then gets a new session, which takes what waited',
    changes: [
      [
        DIRECTORY,
        'if (leftMs <= 0) return false',
        'if (leftMs <= 0) {\n      opening.held = node\n      opening.attempts -= 1\n      return true\n    }',
      ],
    ],
  },
  {
    what: 'home_wait begins anew whenever members change',
    caughtBy: 'test/broker/away-members.test.ts: and from its loss, however often it is lost before it says so again',
    changes: [
      [AWAY, '|| this.#ready.has(other) || this.#sinceMs.has(other)) continue', '|| this.#ready.has(other)) continue'],
    ],
  },
  {
    what: 'those who wait are not told that the member is back',
    caughtBy: 'test/simulation/held-clients.test.ts: a node that is removed holds nobody',
    changes: [[DIRECTORY, 'if (opening.held !== node) continue', 'continue']],
  },
  {
    what: 'a member is taken for away only when the loss of the member is told',
    caughtBy:
      'test/broker/away-members.test.ts: it is known to be away when its rows are hidden, before anybody is told',
    changes: [[AWAY, "if (event.type === 'hidden') this.lost(event.owner)", '']],
  },
  {
    what: 'a node that starts takes nobody for away',
    caughtBy:
      'test/broker/away-members.test.ts: a member is away from the start of this node until it says that its sessions are there',
    changes: [[AWAY, 'this.#clock = clock\n    this.#look()', 'this.#clock = clock']],
  },
  {
    what: 'a member that is a member again has its sessions, before it says so',
    caughtBy: 'test/broker/away-members.test.ts: and from its loss, however often it is lost before it says so again',
    changes: [
      [
        AWAY,
        "else if (event.tag === 'mnesia_up' ||",
        "else if (event.tag === 'mnesia_up') this.ready(event.node)\n      else if (",
      ],
    ],
  },
  {
    what: 'who begins anew waits as well',
    caughtBy: 'test/simulation/held-clients.test.ts: or is refused, and not when it wants to begin anew',
    changes: [
      [
        DIRECTORY,
        'const places = client.cleanStart ? [] : this.#options.places.of(clientId)',
        'const places = this.#options.places.of(clientId)',
      ],
    ],
  },
  {
    what: 'a session that was opened a moment ago is sought in the table',
    caughtBy: 'test/broker/directory.test.ts: a session that was opened a moment ago is found before the table has it',
    changes: [[DIRECTORY, 'this.#recent.set(clientId, session)', '{}']],
  },
  {
    what: 'a session behind a connection that has ended is asked once more',
    caughtBy:
      'test/broker/directory.test.ts: a session behind a connection that has ended is waited for, though the table does not know yet that its member is lost',
    changes: [[DIRECTORY, 'this.#cutOff.add(session.node)', '']],
  },
  {
    what: 'a CONNECT that has asked a session when its node went down is not held',
    caughtBy:
      'test/broker/directory.test.ts: a session behind a connection that has ended is waited for, though the table does not know yet that its member is lost',
    changes: [[DIRECTORY, "reason === 'noconnection'", "(reason as string) === 'never'"]],
  },
  {
    what: 'a session that has ended is asked as long as the table has it',
    caughtBy: 'test/broker/directory.test.ts: a session that ends with its node, which stops in order, is waited for',
    changes: [[DIRECTORY, 'if (gone?.equals(row.pid) || ', 'if (']],
  },
  {
    what: 'a claim is refused when its session ends in that moment',
    caughtBy:
      'test/broker/sm.test.ts: opening a session a clean start gets another session, and the routes of the old one are gone [MQTT5-3.1.2-4]',
    changes: [[DIRECTORY, 'const MAX_ATTEMPTS = 4', 'const MAX_ATTEMPTS = 1']],
  },
  {
    what: 'a member that stops in order is not waited for',
    caughtBy: 'test/broker/directory.test.ts: a session that ends with its node, which stops in order, is waited for',
    changes: [[DIRECTORY, 'if (!this.#options.hasManager(session.node)) this.#options.away.lost(session.node)', '']],
  },
  {
    what: 'a session is made anew although a member that has just come back has it',
    caughtBy:
      'test/broker/directory.test.ts: the session of a member that has just come back is sought there before the table has it',
    changes: [
      [
        DIRECTORY,
        'this.#start(clientId, opening, owner === undefined ? manager : { name: manager.name, node: owner })',
        'this.#start(clientId, opening, manager)',
      ],
    ],
  },
  {
    what: 'a session is not given a later time than one that is there already',
    caughtBy: 'test/broker/sm.test.ts: opening a session its row is written once, and again when its client comes back',
    changes: [
      [
        DIRECTORY,
        'if (row === undefined || client.connectedAtMs > row.connectedAtMs) return client',
        'if (true) return client',
      ],
    ],
  },
  {
    what: 'of two sessions that were opened at the same time nobody says which is the later one',
    caughtBy: 'test/broker/give-way.test.ts: of two sessions that were opened at the same time one gives way',
    changes: [[DIRECTORY, ' || (a.connectedAtMs === b.connectedAtMs && a.pid.node > b.pid.node)', '']],
  },
  {
    what: 'a session that a new home asks once more takes over from itself',
    caughtBy:
      'test/broker/session.test.ts: publishing from one session to another a connection that another home asks for once more is not taken over by itself',
    changes: [
      [
        'session/session.ts',
        'const isOpened = this.state.connection?.equals(client.connection) === true',
        'const isOpened = false',
      ],
    ],
  },
  {
    what: 'a take-over does not close the former connection',
    caughtBy: 1,
    changes: [['session/session-machine.ts', "tag: 'close',\n      to: former,", "tag: 'closed',\n      to: former,"]],
  },
  {
    what: 'a connection stays whose session has another one',
    caughtBy:
      'test/broker/session.test.ts: publishing from one session to another a connection that takes itself for that of a session which has let it go is closed',
    changes: [['session/session.ts', 'this.#connection.disown(message.from)', '']],
  },
]

/**
 * The broker's supervision tree, in the order in which it starts; it ends in reverse.
 *
 *     broker_sup (one_for_one)
 *     ├─ router             subscriptions and routes
 *     ├─ retainer           expiry of retained messages
 *     ├─ session_sup        a session for each client id
 *     ├─ sm                 opens, resumes and ends sessions
 *     ├─ session_restorer   has stored sessions started, and is gone when they are
 *     ├─ cluster            what members that come and go mean for clients
 *     ├─ trace              what clients do, and what happens on topics, to files
 *     ├─ group_keeper       messages that are kept for shared subscriptions, to members that are there
 *     ├─ forwarder          messages from and to other nodes, which it tells that the sessions are there
 *     ├─ bridge_receiver    messages that bridges of other nodes bring
 *     ├─ bridge_sup         a bridge for each node and filter that messages are brought to
 *     ├─ sys_topics         $SYS, on a schedule
 *     ├─ sysmon             long pauses and mailboxes
 *     └─ listener_tcp       a connection for each socket
 *
 * Listeners come last, so that nobody is let in before all is there, and go first. What the processes work on outlives them
 * (services.ts), so each is restarted by itself. Differs from emqttd, whose tree is one_for_all: there a fault of the
 * retainer cuts every client.
 */
import type { ChildSpec } from '../actors/supervisor/child-spec.ts'
import { child, supervisor } from '../actors/supervisor.ts'
import { BRIDGE_SUP, bridgeSup } from './bridge/bridges.ts'
import { BRIDGE_RECEIVER } from './bridge/messages.ts'
import { bridgeReceiver } from './bridge/receiver.ts'
import { CLUSTER, cluster } from './cluster.ts'
import { connectionEnvironment } from './connection/connection-services.ts'
import { tcpListener } from './connection/listener-tcp.ts'
import { forwarder } from './forward/forwarder.ts'
import { FORWARDER } from './forward/messages.ts'
import { GROUP_KEEPER, groupKeeper } from './group/group-keeper.ts'
import { sysTopics } from './monitor/sys-topics.ts'
import { sysmon } from './monitor/sysmon.ts'
import { TRACE, trace } from './monitor/trace.ts'
import { reportUnrouted } from './publish.ts'
import { retainer } from './retained/retainer.ts'
import { router } from './routing/router.ts'
import type { Services } from './services.ts'
import { reportDropped } from './session/session-reports.ts'
import { SESSION_SUP, sessionSup } from './session/session-sup.ts'
import { sm } from './session/sm.ts'
import { sessionRestorer } from './session/stored/session-restorer.ts'

/** Registered name of the TCP listener. */
export const LISTENER_TCP = 'listener_tcp'

/** How long connections have to say farewell. */
const LISTENER_SHUTDOWN_MS = 10_000

/** What the broker says that it is. */
export const DESCRIPTION = 'Agner MQTT broker'

/** The top of the broker. */
export const brokerSup = supervisor<Services>({
  label: 'broker_sup',
  strategy: 'one_for_one',
  intensity: 10,
  periodSec: 60,
  children: (services) => [...serviceChildren(services), listenerChild(services)],
})

/** All but the listeners, for whoever brings connections by another way than sockets. */
export function serviceChildren(services: Services): ChildSpec[] {
  const { config, forwarding, metrics, mnesia, publishSys, pubsub, routers, routing, sessions, stats } = services
  const onUnconfirmed = () => {
    metrics['client/subscribe/unconfirmed'] += 1
  }
  return [
    ...routers.names.map((name, index) =>
      child(name, router, [{ routing, index, poolSize: routers.names.length, onUnconfirmed }, { name }]),
    ),
    child('retainer', retainer, [services.retainer, { name: 'retainer' }]),
    child(SESSION_SUP, sessionSup, [undefined, { name: SESSION_SUP }], {
      type: 'supervisor',
      shutdownMs: 'infinity',
    }),
    ...sessions.names.map((name, index) =>
      child(name, sm, [
        {
          environment: services,
          tables: mnesia,
          homes: services.homes,
          away: services.away,
          places: services.places,
          mayGive: (node) => forwarding.mayGive(node),
          startSession: (caller, start, manager) =>
            sessionSup.startChild(caller, SESSION_SUP, { environment: services, manager, ...start }),
          homeWaitMs: config.session.homeWaitMs,
          homeDown: config.session.homeDown,
          index,
          poolSize: sessions.names.length,
        },
        { name },
      ]),
    ),
    child('session_restorer', sessionRestorer, [services], { restart: 'temporary' }),
    child(CLUSTER, cluster, [
      {
        mnesia,
        connections: services.connections,
        alarms: services.alarms,
        autocleanMs: config.cluster.autocleanMs,
      },
      { name: CLUSTER },
    ]),
    child(TRACE, trace, [services.hooks, { name: TRACE }]),
    child(GROUP_KEEPER, groupKeeper, [
      {
        log: services.groupLog,
        pubsub,
        routing,
        forwarding,
        mnesia,
        away: services.away,
        recent: services.recent.durable,
        onLost: (message, clientId) => {
          if (clientId === undefined) reportUnrouted(services, message)
          else reportDropped(services, clientId, 'session_ended', [message])
        },
      },
      { name: GROUP_KEEPER },
    ]),
    child(FORWARDER, forwarder, [
      {
        forwarding,
        passingOn: { former: services.former, sessions, places: services.places, environment: services },
        pubsub,
        routing,
        mnesia,
        recent: services.recent,
        away: services.away,
        onGiven: () => sessions.hintsGiven(),
        onLost: (message) => reportUnrouted(services, message),
      },
      { name: FORWARDER },
    ]),
    child(BRIDGE_RECEIVER, bridgeReceiver, [services, { name: BRIDGE_RECEIVER }]),
    child(BRIDGE_SUP, bridgeSup, [services.bridges, { name: BRIDGE_SUP }], {
      type: 'supervisor',
      shutdownMs: 'infinity',
    }),
    child('sys_topics', sysTopics, [
      {
        publish: publishSys,
        metrics,
        stats,
        runningNodes: () => mnesia.status().running,
        version: services.version,
        description: DESCRIPTION,
        sysIntervalMs: config.broker.sysIntervalMs,
      },
      { name: 'sys_topics' },
    ]),
    child('sysmon', sysmon, [
      { config: config.sysmon, publish: publishSys, alarms: services.alarms, vm: services.vm },
      { name: 'sysmon' },
    ]),
  ]
}

function listenerChild(services: Services): ChildSpec {
  const { tcp } = services.config.listeners
  const options = {
    ...tcp,
    shutdownMs: LISTENER_SHUTDOWN_MS,
    environment: connectionEnvironment(services, tcp),
  }
  return child(LISTENER_TCP, tcpListener, [options, { name: LISTENER_TCP }], {
    shutdownMs: LISTENER_SHUTDOWN_MS + 2000,
  })
}

/**
 * What the processes of one broker share: its configuration, counters, hooks, tables and the plain objects over them.
 *
 * These are made once, before any process, and outlive every one of them: a router or a session manager that is restarted
 * finds the routes and sessions as they are. Only the owner process that each file names writes to a table; all may read.
 */
import type { Runtime } from '../actors/runtime.ts'
import type { Mnesia } from '../mnesia/mnesia.ts'
import type { Store } from '../mnesia/store/store.ts'
import { AccessControl } from './access/access-control.ts'
import { readRules } from './access/acl.ts'
import { Bridges } from './bridge/bridges.ts'
import type { BrokerConfig } from './config.ts'
import { Connections } from './connection/cm.ts'
import { Forwarding } from './forward/forwarding.ts'
import { HintLog } from './forward/hints.ts'
import { ASK_MEMBERS, FORWARDER } from './forward/messages.ts'
import { RecentIds } from './forward/recent-ids.ts'
import { GroupLog } from './group/group-log.ts'
import { generatorOf, guidGenerator } from './guid.ts'
import { Hooks } from './hooks.ts'
import type { Message } from './message.ts'
import type { Alarms } from './monitor/alarm.ts'
import { createMetrics, type Metrics } from './monitor/metrics.ts'
import { Stats } from './monitor/stats.ts'
import { alarmPublisher, publishPresence, type SysPublish } from './monitor/sys-events.ts'
import type { VmProbe } from './monitor/sysmon.ts'
import { publishAll, reportUnrouted, type SessionEnvironment } from './publish.ts'
import { Retainer } from './retained/retainer.ts'
import { PubSub } from './routing/pubsub.ts'
import { RouterPool } from './routing/router.ts'
import { Routing } from './routing/routing.ts'
import { AwayMembers } from './session/away-members.ts'
import { FormerSessions } from './session/former-sessions.ts'
import { Homes } from './session/home.ts'
import type { MovingSettings } from './session/moving/messages.ts'
import { Sessions } from './session/sessions.ts'
import { StaticSubscriptions } from './session/static-subscriptions.ts'
import { SessionStore } from './session/stored/session-store.ts'
import { reportStore } from './session/stored/store-reports.ts'
import { StoredPlaces } from './session/stored/stored-places.ts'
import { SESSION } from './tables.ts'

export interface Services extends SessionEnvironment {
  readonly runtime: Runtime
  readonly config: BrokerConfig
  readonly version: string
  /** What sysmon asks about the JavaScript engine; undefined for a simulated node. */
  readonly vm: VmProbe | undefined
  readonly metrics: Metrics
  readonly stats: Stats
  readonly hooks: Hooks
  readonly alarms: Alarms
  readonly access: AccessControl
  /** The tables, and the cluster whose members share them. */
  readonly mnesia: Mnesia
  readonly routing: Routing
  readonly pubsub: PubSub
  /** What is on its way to other nodes. */
  readonly forwarding: Forwarding
  /** Ids of QoS 2 messages that have come from other nodes. */
  readonly recent: { readonly durable: RecentIds; readonly volatile: RecentIds }
  /** Bridges from this node to others. */
  readonly bridges: Bridges
  readonly retainer: Retainer
  readonly sessions: Sessions
  readonly sessionStore: SessionStore | undefined
  /** What is kept for groups, beside the sessions if these are stored. */
  readonly groupLog: GroupLog | undefined
  /** Which member has the stored session of a client id. */
  readonly places: StoredPlaces
  /** Sessions of this node that have given way. */
  readonly former: FormerSessions
  /** Members whose sessions are not there. */
  readonly away: AwayMembers
  readonly staticSubscriptions: StaticSubscriptions
  /** Which node decides about a client id. */
  readonly homes: Homes
  /** Clients that are connected to this node. */
  readonly connections: Connections
  readonly nextMessageId: (nowMs?: number) => string
  /** Publishes messages of the broker itself, through hooks and routing. */
  publish(messages: readonly Message[]): void
  /** Publishes under $SYS. */
  readonly publishSys: SysPublish
}

/** An access rules file that has mistakes; nothing was started. */
class AclFileError extends Error {
  override readonly name = 'AclFileError'
  readonly code = 'bad_acl_file'
}

/** What a broker is made of that is there before it. */
export interface ServicesOptions {
  readonly config: BrokerConfig
  readonly version: string
  readonly vm: VmProbe | undefined
  readonly mnesia: Mnesia
  readonly alarms: Alarms
  /** Where sessions are stored; undefined: in memory only. */
  readonly sessionStore?: Store | undefined
  /** Where messages for members that are away are kept; undefined: they are not. Nobody else writes to it. */
  readonly hintStore?: Store | undefined
}

/**
 * Makes the services of a broker. Rejects with `AclFileError` when `access.acl_file` cannot be used, and with a TypeError for a configured bridge to
 * the node itself.
 */
export async function createServices(options: ServicesOptions): Promise<Services> {
  const { config, version, vm, mnesia, alarms } = options
  const { runtime } = mnesia
  const rules = await readRules(config.access.aclFile)
  if (!rules.ok) throw new AclFileError(rules.errors.join('\n'))
  const { clock, logger } = runtime
  const metrics = createMetrics()
  const hooks = new Hooks(logger, metrics)
  const routing = new Routing(runtime.node.name, mnesia, config.session.queue)
  const { maxMessages, maxPayloadBytes, expirySec } = config.retained
  const retainer = new Retainer(mnesia, { maxMessages, maxPayloadBytes, expiryMs: expirySec * 1000 }, clock)
  const groupLog = groupLogOf(options, metrics, () => sessionStore?.writer.write(false))
  const pubsub = new PubSub({
    routing,
    send: (to, message) => runtime.send(to, message),
    random: () => runtime.random(),
    sharedStrategy: config.broker.sharedStrategy,
    retain: (message) => retain(retainer, metrics, message),
    forward: (to, batches, receipt) => forwarding.send(to, batches, receipt),
    park: (node, batches, receipt, share) => forwarding.keep(node, batches, receipt, { share }),
    ...(groupLog !== undefined && {
      keep: (share, messages, receipt) => {
        metrics['messages/hinted'] += messages.length
        receipt.expect()
        const taken = () => receipt.taken()
        groupLog.add(share, messages).then(taken, (error: unknown) => {
          runtime.logger.error({ err: error, ...share }, 'what was published for a group that is away is not on disc')
          receipt.failed()
        })
      },
    }),
    forwardTo: (to, run, receipt) => forwarding.sendTo(to, run, receipt),
  })
  const forwarding = new Forwarding({
    runtime,
    metrics,
    waitMs: config.broker.forwardWaitMs,
    maxBytes: config.broker.forwardMaxBytes,
    hints: hintLog(options, metrics),
    redispatch: (messages, share, exclude, otherwise) => {
      const lost = pubsub.redispatch(messages, share, exclude, otherwise)
      const receipt = pubsub.takeReceipt()
      for (const message of lost) reportUnrouted({ hooks, metrics }, message)
      return receipt
    },
  })
  const nextMessageId = guidGenerator(runtime)
  const homes = new Homes(mnesia)
  const publish = (messages: readonly Message[]) => void publishAll({ hooks, metrics, pubsub }, messages)
  const publishSys: SysPublish = (topic, payload, { retain: isRetained }) => {
    // A topic of its own for each client that comes or goes: nothing is made, or remembered, for nobody.
    const isHeard = isRetained || hooks.chains['message.publish'].length > 0 || pubsub.reaches(topic)
    if (!isHeard) return
    publish([
      {
        id: nextMessageId(),
        from: '',
        topic,
        payload: Buffer.from(typeof payload === 'string' ? payload : payload()),
        qos: 0,
        retain: isRetained,
        publishedAtMs: clock.now(),
        expiresAtMs: Number.POSITIVE_INFINITY,
        properties: undefined,
      },
    ])
  }
  const sessions = new Sessions(runtime, mnesia)
  const sessionStore = sessionStoreOf(options)
  routing.subscribers.areStored = sessionStore !== undefined
  const recent = { durable: new RecentIds(nextMessageId), volatile: new RecentIds(nextMessageId) }
  const routers = new RouterPool(runtime)
  const ownGenerator = generatorOf(nextMessageId())
  const services: Services = {
    runtime,
    config,
    version,
    vm,
    metrics,
    stats: new Stats(),
    hooks,
    alarms,
    access: new AccessControl({ config: config.access, rules: rules.rules, tables: mnesia, hooks, metrics, clock }),
    mnesia,
    routing,
    pubsub,
    forwarding,
    recent,
    bridges: new Bridges({ runtime, metrics, alarms, routers, mnesia, nextMessageId }, config.bridges),
    arrivalOf: ({ id }) => recent.durable.arrivalOf(id) ?? (generatorOf(id) === ownGenerator ? id : undefined),
    noteArrivals: (messages) => {
      for (const { id, qos } of messages) if (qos === 2) recent.durable.add(id)
    },
    retainer,
    sessions,
    sessionStore,
    groupLog,
    places: new StoredPlaces(runtime.node.name, mnesia, sessionStore),
    former: formerSessions(options),
    // Before those who ask for it when members change.
    away: new AwayMembers(mnesia, clock),
    homes,
    moving: movingSettings(config, mnesia, homes),
    connections: new Connections(runtime),
    limits: config.session,
    routers,
    staticSubscriptions: new StaticSubscriptions(mnesia),
    nextMessageId,
    publish,
    publishSys,
  }
  announce(services)
  return services
}

function movingSettings({ session }: BrokerConfig, mnesia: Mnesia, homes: Homes): MovingSettings | undefined {
  if (!session.migrate) return undefined
  const table = mnesia.open(SESSION)
  const canReach = (to: string, clientId: string) => {
    const { stopped, partitioned } = mnesia.status()
    return stopped.length + partitioned.length === 0 && homes.decides(to) && table.read(clientId).length === 1
  }
  return { waitMs: session.migrateWaitMs, homeWaitMs: session.homeWaitMs, canReach }
}

function hintLog(options: ServicesOptions, metrics: Metrics): HintLog | undefined {
  const { hintStore: store } = options
  return store === undefined ? undefined : new HintLog({ store, ...keepingOptions(options, metrics) })
}

/** Beside the sessions, where these are stored: what they leave to groups changes hands in one commit. */
function groupLogOf(options: ServicesOptions, metrics: Metrics, catchUp: () => void): GroupLog | undefined {
  const { config, sessionStore, hintStore, mnesia } = options
  const store = (config.session.durability === 'memory' ? undefined : sessionStore) ?? hintStore
  if (store === undefined) return undefined
  const { logger } = mnesia.runtime
  return new GroupLog({
    store,
    catchUp,
    ...keepingOptions(options, metrics),
    onUnreadable: (space, id, reason) => {
      logger.error(
        { report: 'unreadable_group_message', space, id, reason },
        `a message of ${space} cannot be read: ${reason}`,
      )
    },
  })
}

function keepingOptions({ config, mnesia }: ServicesOptions, metrics: Metrics) {
  return {
    maxBytes: config.broker.hintMaxBytes,
    maxAgeMs: config.broker.hintMaxAgeMs,
    now: () => mnesia.runtime.clock.now(),
    onDropped: (messages: number) => {
      metrics['messages/dropped'] += messages
      metrics['messages/dropped/hints'] += messages
    },
  }
}

function formerSessions({ config, hintStore, mnesia }: ServicesOptions): FormerSessions {
  const { runtime } = mnesia
  return new FormerSessions({
    store: hintStore,
    now: () => runtime.clock.now(),
    maxAgeMs: config.broker.hintMaxAgeMs,
    others: () => {
      const { node, running, stopped, partitioned } = mnesia.status()
      return [...running, ...stopped, ...partitioned].filter((name) => name !== node)
    },
    onNoted: () => {
      const forwarder = runtime.whereis(FORWARDER)
      if (forwarder !== undefined) runtime.send(forwarder, ASK_MEMBERS)
    },
  })
}

function sessionStoreOf({ config, sessionStore, mnesia, alarms }: ServicesOptions): SessionStore | undefined {
  if (sessionStore === undefined || config.session.durability === 'memory') return undefined
  const { runtime } = mnesia
  return new SessionStore(sessionStore, {
    clock: runtime.clock,
    timers: runtime.timers,
    send: (to, message) => runtime.send(to, message),
    ...reportStore(alarms, runtime.logger),
  })
}

/** Registers what stats count, and what is published under $SYS when something happens. */
function announce({ runtime, stats, routing, retainer, sessions, hooks, alarms, metrics, publishSys }: Services): void {
  stats.source('clients', () => metrics['client/connected'] - metrics['client/disconnected'])
  stats.source('sessions', () => sessions.count)
  stats.source('retained', () => retainer.count)
  for (const name of ['topics', 'routes', 'subscribers', 'subscriptions'] as const) {
    stats.source(name, () => routing.stats()[name].count)
  }
  const events = { node: runtime.node.name, publish: publishSys, nowMs: () => runtime.clock.now() }
  publishPresence(hooks, events)
  alarms.addHandler(alarmPublisher(events))
}

function retain(retainer: Retainer, metrics: Metrics, message: Message): void {
  const result = retainer.store(message)
  if (result === 'table_full') metrics['retained/refused/table_full'] += 1
  else if (result === 'payload_too_large') metrics['retained/refused/too_large'] += 1
  metrics['messages/retained'] = retainer.count
}

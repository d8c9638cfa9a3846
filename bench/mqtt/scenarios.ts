/**
 * What is measured, and what our broker is to reach in it.
 *
 * A target is either an absolute cost (broker CPU per operation, user + system) or a ratio to mosquitto 2.0.11 measured
 * in the same run: the ratio holds on any machine, the cost on one like that of the first measurements.
 */

/** How the table of a scenario is laid out. */
export type Layout = 'traffic' | 'connect' | 'subscribe'

/** What our broker is to reach in a scenario; a missing figure is no target. */
export interface Targets {
  /** Broker CPU per delivery, connection or filter, µs, at most. */
  readonly cpuUs?: number
  /** mosquitto's CPU per operation over ours, at least. */
  readonly mosquittoOverOurs?: number
  /** p99 no worse than mosquitto's. */
  readonly p99NoWorse?: true
  /** KiB of resident memory per idle connection, at most. */
  readonly kibPerIdleConnection?: number
  /** Bytes of resident memory per filter, at most. */
  readonly bytesPerFilter?: number
}

/** One scenario. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly layout: Layout
  /** Arguments of the load generator. */
  readonly args: readonly string[]
  /** Arguments that make it smaller for `--quick`; undefined leaves it out of a quick run. */
  readonly quick?: readonly string[]
  readonly targets: Targets
}

const traffic = (text: string): string[] => ['traffic', ...text.split(' ')]
const QUICK_TRAFFIC = ['--warmup', '0.4', '--seconds', '0.8']

/** Every scenario in the order in which it is run. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'fanout-100',
    title: 'fan-out 1 → 100, QoS 0, 64 B, 32 in flight',
    layout: 'traffic',
    args: traffic('--subscribers 100'),
    quick: QUICK_TRAFFIC,
    targets: { cpuUs: 0.8, mosquittoOverOurs: 6 },
  },
  {
    name: 'fanout-100-1k',
    title: 'fan-out 1 → 100, QoS 0, 1 KiB, 32 in flight',
    layout: 'traffic',
    args: traffic('--subscribers 100 --payload 1024'),
    targets: { mosquittoOverOurs: 6 },
  },
  {
    name: 'fanout-1000',
    title: 'fan-out 1 → 1000, QoS 0, 64 B, 32 in flight',
    layout: 'traffic',
    args: traffic('--subscribers 1000'),
    targets: { cpuUs: 1, mosquittoOverOurs: 6 },
  },
  {
    name: 'fanout-1000-1k',
    title: 'fan-out 1 → 1000, QoS 0, 1 KiB, 32 in flight',
    layout: 'traffic',
    args: traffic('--subscribers 1000 --payload 1024'),
    targets: { mosquittoOverOurs: 6 },
  },
  {
    name: 'fanout-100-one',
    title: 'fan-out 1 → 100, QoS 0, 64 B, one in flight',
    layout: 'traffic',
    args: traffic('--subscribers 100 --window 1'),
    quick: QUICK_TRAFFIC,
    targets: { cpuUs: 8.5, mosquittoOverOurs: 1 },
  },
  {
    name: 'fanin-100',
    title: 'fan-in 100 → 1, QoS 0, 64 B, 8 in flight per publisher',
    layout: 'traffic',
    args: traffic('--publishers 100 --subscribers 1 --window 8'),
    quick: QUICK_TRAFFIC,
    targets: { cpuUs: 3.5, mosquittoOverOurs: 2 },
  },
  ...([0, 1, 2] as const).map(
    (qos): Scenario => ({
      name: `pairs-qos${qos}`,
      title: `50 pairs, QoS ${qos}, 64 B, 32 in flight per pair`,
      layout: 'traffic',
      args: traffic(`--publishers 50 --pairs --qos ${qos}`),
      quick: QUICK_TRAFFIC,
      targets:
        [
          { cpuUs: 2.5, mosquittoOverOurs: 3.5 },
          { cpuUs: 7, mosquittoOverOurs: 2.4 },
          { cpuUs: 16, mosquittoOverOurs: 2.4 },
        ][qos] ?? {},
    }),
  ),
  ...([0, 1, 2] as const).map(
    (qos): Scenario => ({
      name: `pairs-qos${qos}-one`,
      title: `50 pairs, QoS ${qos}, 64 B, one in flight per pair`,
      layout: 'traffic',
      args: traffic(`--publishers 50 --pairs --window 1 --qos ${qos}`),
      targets: {},
    }),
  ),
  {
    name: 'pairs-rate',
    title: '50 pairs, QoS 0, 64 B, 5,000 messages a second in all',
    layout: 'traffic',
    args: traffic('--publishers 50 --pairs --rate 5000'),
    quick: QUICK_TRAFFIC,
    targets: { p99NoWorse: true },
  },
  {
    name: 'connect',
    title: '5,000 connects, 100 at a time, then idle',
    layout: 'connect',
    args: ['connect'],
    targets: { cpuUs: 200, kibPerIdleConnection: 11 },
  },
  {
    name: 'subscribe-100',
    title: '100,000 exact filters over 100 clients, one a SUBSCRIBE',
    layout: 'subscribe',
    args: ['subscribe', '--clients', '100'],
    targets: { cpuUs: 30, bytesPerFilter: 600 },
  },
  {
    name: 'subscribe-4',
    title: '100,000 exact filters over 4 clients, one a SUBSCRIBE',
    layout: 'subscribe',
    args: ['subscribe', '--clients', '4'],
    targets: { cpuUs: 30, bytesPerFilter: 600 },
  },
]

/** What the nodes of the benchmark are asked to do, and what is wanted of it. */

/** Ours, Erlang's, and ours of another checkout. */
export const NODE_KINDS = ['agner', 'erl', 'base'] as const
export type NodeKind = (typeof NODE_KINDS)[number]

/** The four ways between two nodes: who begins, who answers. */
export const PAIRS = ['agner-agner', 'erl-erl', 'agner-erl', 'erl-agner'] as const
export type PairName = (typeof PAIRS)[number] | 'base-base'

export interface Scenario {
  readonly name: string
  readonly title: string
  /** What one operation is. */
  readonly unit: string
  /** Operations of a round. */
  readonly count: number
  /** The command of the node that begins, without the name of the other. */
  command(count: number): { readonly name: string; readonly args: readonly (string | number)[] }
  /** Operations in one message. */
  readonly perMessage?: number
  /**
   * What a sample is, and by what pairs are compared: `each`, one operation of those that come one after the other, by the
   * median time; `many`, one of those that are under way at once, and `parts`, the mean over a part of the round, by the rate.
   */
  readonly samples: 'each' | 'many' | 'parts'
  /** Bytes that an operation moves, both ways together. */
  readonly bytes?: number
  /** Wanted of the speed: ours between ours, over Erlang's between Erlang's. */
  readonly atLeast?: number
}

/** As in our-node.ts and dist_bench.erl. */
const BATCH = 50
const MIB = 1 << 20

function flood(kind: string, title: string, count: number, perMessage = 1): Scenario {
  return {
    name: `flood-${kind}`,
    title,
    unit: 'messages',
    count,
    perMessage,
    samples: 'parts',
    command: (operations) => ({ name: 'flood', args: [kind, Math.round(operations / perMessage)] }),
  }
}

export const SCENARIOS: readonly Scenario[] = [
  { ...flood('small', '{sink, Node} ! {msg, 1}, one way', 300_000), atLeast: 1.5 },
  { ...flood('publish', 'the same with a topic, 64 bytes and a map of five keys', 150_000), atLeast: 1.5 },
  flood('batch', `the same, lists of ${BATCH} of them`, 250_000, BATCH),
  {
    name: 'ping-pong',
    title: 'a message and its answer, one at a time',
    unit: 'round trips',
    count: 6000,
    samples: 'each',
    command: (count) => ({ name: 'pingpong', args: [count] }),
    atLeast: 0.5,
  },
  {
    name: 'call',
    title: 'gen_server:call, one at a time',
    unit: 'calls',
    count: 5000,
    samples: 'each',
    command: (count) => ({ name: 'call', args: [1, count] }),
  },
  {
    name: 'call-100',
    title: 'gen_server:call, 100 processes at once',
    unit: 'calls',
    count: 50_000,
    samples: 'many',
    command: (count) => ({ name: 'call', args: [100, count] }),
  },
  {
    name: 'erpc',
    title: 'erpc:call of erlang:node/0, one at a time',
    unit: 'calls',
    count: 4000,
    samples: 'each',
    command: (count) => ({ name: 'erpc', args: [1, count] }),
  },
  {
    name: 'erpc-100',
    title: 'erpc:call of erlang:node/0, 100 processes at once',
    unit: 'calls',
    count: 20_000,
    samples: 'many',
    command: (count) => ({ name: 'erpc', args: [100, count] }),
  },
  {
    name: 'echo-1mb',
    title: 'a binary of 1 MiB and back, one at a time',
    unit: 'round trips',
    count: 200,
    samples: 'each',
    bytes: 2 * MIB,
    command: (count) => ({ name: 'echo', args: [MIB, count] }),
  },
]

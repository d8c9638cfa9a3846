/** The node's settings of `[cluster]`: how it finds its cluster, and what becomes of partitions. Those of the broker are in broker/config.ts. */
import { duration, list, oneOf, type Settings } from '../broker/settings.ts'

export const CLUSTER_SETTINGS = {
  seeds: list({
    field: 'seeds',
    default: [],
    allowed: 'names of nodes, each NAME@HOST',
    parse: (element) => (typeof element === 'string' && /^[^@\s]+@[^@\s]+$/.test(element) ? element : undefined),
    doc: 'Members of the cluster that a new node joins by itself, as soon as one of them is there; a node that has left or been removed does not.',
  }),
  partition: oneOf({
    field: 'partition',
    default: 'autoheal',
    values: ['autoheal', 'manual'],
    doc: 'What happens when nodes that were cut off from each other meet again: they merge, or stay apart until `cluster heal`.',
  }),
  start_wait: duration({
    field: 'startWaitMs',
    default: '10s',
    min: 0,
    max: 86_400_000,
    doc: 'How long the start waits for members that answer, to begin with their rows.',
  }),
} satisfies Settings

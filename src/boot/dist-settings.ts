/**
 * The settings of `[dist]`: how a node talks to other nodes. They are the node's and not the broker's; with run-node.ts they
 * become the options of src/dist.
 */
import {
  bytes,
  duration,
  flag,
  INFINITY,
  integer,
  oneOf,
  type Settings,
  text,
  type Values,
} from '../broker/settings.ts'

const FILE = { allowed: 'a path', pattern: /^[^\0]*$/ } as const

export const DIST_SETTINGS = {
  listen: text({
    field: 'listen',
    default: 'auto',
    allowed: '"auto", an address or a host name',
    pattern: /^[^\s/]+$/,
    doc: 'Address to listen on for other nodes; "auto" is the address in the node\'s name when that is one of loopback (127.0.0.1, ::1), else every address.',
  }),
  port: integer({
    field: 'port',
    default: 0,
    min: 0,
    max: 65_535,
    doc: 'Port to listen on for other nodes, who learn of it from epmd; 0 takes any free one.',
  }),
  proto: oneOf({
    field: 'proto',
    default: 'inet_tcp',
    values: ['inet_tcp', 'inet6_tcp', 'inet_tls'],
    doc: 'How nodes talk, the same for all of them: over TCP, over TCP with host names looked up as IPv6, or over TLS.',
  }),
  net_ticktime: duration({
    field: 'netTicktimeMs',
    default: '60s',
    min: 1000,
    max: 86_400_000,
    doc: 'A node that has been silent for so long is taken for dead; each node says something four times in this time.',
  }),
  connect_all: flag({
    field: 'connectAll',
    default: true,
    doc: 'Whether to connect to the nodes that other nodes are connected to, and again to those that were lost.',
  }),
  busy_limit: bytes({
    field: 'busyBytes',
    default: '1MB',
    min: 1024,
    max: 2_147_483_648,
    doc: 'Output that may wait for one node before the processes that send to it are suspended.',
  }),
  max_buffer: bytes({
    field: 'maxBufferBytes',
    default: '256MB',
    min: 1024,
    doc: 'Output that may wait for one node before the connection to it is given up.',
  }),
  max_frame: bytes({
    field: 'maxFrameBytes',
    default: '64MB',
    min: 65_536,
    max: 1_073_741_824,
    doc: 'Largest message between nodes; a larger one is not sent, and a node that sends one all the same is cut off.',
  }),
  remote_shell: flag({
    field: 'remoteShell',
    default: false,
    doc: 'Whether `erl -remsh` gets a shell on this node; it only reads.',
  }),
  rpc: {
    max_processes: integer({
      field: 'maxProcesses',
      default: 10_000,
      min: 0,
      doc: 'Processes that other nodes may have running here by rpc and spawn; one more is refused with system_limit.',
    }),
    max_call_time: duration({
      field: 'maxCallMs',
      default: '10m',
      min: 1,
      word: INFINITY,
      doc: 'How long a function that another node calls may take.',
    }),
  },
  tls: {
    cert: text({
      ...FILE,
      field: 'cert',
      default: '',
      doc: 'PEM file with the certificate of this node and intermediate ones, a path relative to this file; for inet_tls, as the next two.',
    }),
    key: text({ ...FILE, field: 'key', default: '', doc: 'PEM file with its private key.' }),
    ca: text({
      ...FILE,
      field: 'ca',
      default: '',
      doc: 'PEM file with the authority that has signed the certificates of all nodes; whoever has none of it stays out.',
    }),
    verify_host: flag({
      field: 'verifyHost',
      default: true,
      doc: 'Whether the certificate of a node must name the host in its node name.',
    }),
  },
} satisfies Settings

/** The configuration that they make. */
export type DistConfig = Values<typeof DIST_SETTINGS>

/**
 * `agner/dist`: several nodes. Names, cookies, and the Erlang distribution protocol between runtimes and with Erlang and Elixir.
 *
 * For users; code of this project imports the files by name.
 */
export type { NodedownReason } from './connection.ts'
export { type CookieResult, type CookieSources, readCookie } from './cookie.ts'
export { Distribution, type DistributionOptions, distributionOf } from './distribution.ts'
export { EpmdClient } from './epmd-client.ts'
export { type EpmdServer, startEpmdServer } from './epmd-server.ts'
export * as erpc from './erpc.ts'
export { UnsendableError, type UnsendableReason } from './errors.ts'
export { otpExports } from './exports/all.ts'
export {
  type CallContext,
  ErlangError,
  type ExportedFunction,
  type ExportedModule,
  Exports,
  type SocketInfo,
  type TableInfo,
} from './exports.ts'
export * as netAdm from './net-adm.ts'
export {
  connectNode,
  disconnectNode,
  type MonitoredNodes,
  monitorNodes,
  type NodedownMessage,
  type NodeupMessage,
  nodes,
} from './net-kernel.ts'
export { checkNodeName, checkShortNodeName, type NameCheck } from './node-name.ts'
export { type NodeEvent, type NodeKind, type NodeNetwork, nodeNetworkOf } from './node-network.ts'
export * as pg from './pg.ts'
export type { RemoteCallLimits } from './remote-calls.ts'
export * as rpc from './rpc.ts'
export { type StartDistributionOptions, startDistribution } from './start-distribution.ts'
export { type Node, type StartNodeOptions, type StartNodeResult, startNode } from './start-node.ts'
export * from './term.ts'
export type { Address, ByteStream, StreamEvents, StreamListener, Transport } from './transport.ts'
export { tcpTransport } from './transport-tcp.ts'
export { tlsTransport } from './transport-tls.ts'

/**
 * DISCONNECT of a client: the only end of a connection that can take back the will.
 */
import type { DisconnectPacket } from '../../packet.ts'
import { RC } from '../../reason-codes.ts'
import { finish, type ProtocolEffect, type ProtocolState, protocolError } from '../protocol-state.ts'

/** Takes a DISCONNECT of a client, in whatever phase. */
export function handleDisconnect(state: ProtocolState, effects: ProtocolEffect[], packet: DisconnectPacket): void {
  const asked = packet.properties?.sessionExpiryInterval
  if (asked !== undefined && asked > 0 && state.requestedExpirySec === 0 && state.phase === 'connected') {
    // [MQTT5-3.14.2.2.2]: a session that was to end with its connection cannot be kept after all.
    protocolError(state, effects, 'session expiry cannot be raised from 0 by DISCONNECT')
    return
  }
  const expirySec = asked === undefined ? undefined : Math.min(asked, state.environment.limits.maxSessionExpirySec)
  const code = packet.reasonCode ?? RC.normal_disconnection
  finish(state, effects, {
    reason: code === RC.normal_disconnection ? 'normal' : 'client_disconnect',
    // [MQTT311-3.1.2-10] [MQTT5-3.1.2-10] [MQTT5-3.14.4-3]: only a normal disconnection discards the will.
    publishWill: code !== RC.normal_disconnection,
    expirySec,
  })
}

/**
 * AUTH of MQTT 5.0: the steps of an enhanced authentication at CONNECT, and re-authentication of a connected client
 * [MQTT5-4.12]. The steps themselves are the authentication chain's; here is what may be said when.
 *
 * While a connected client re-authenticates its other packets go on as before, under the rights that it had
 * [MQTT5-4.12.1].
 */
import type { AuthPacket } from '../../packet.ts'
import { RC } from '../../reason-codes.ts'
import { type AuthResult, fail, type ProtocolEffect, type ProtocolState, protocolError } from '../protocol-state.ts'
import { authProperties } from './connect.ts'

/** Takes an AUTH, in whatever phase. */
export function handleAuth(state: ProtocolState, effects: ProtocolEffect[], packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod
  if (state.authMethod === undefined) {
    // [MQTT5-4.12.0-7]
    protocolError(state, effects, 'AUTH of a client that named no authentication method')
    return
  }
  if (method !== state.authMethod) {
    // [MQTT5-4.12.0-5] [MQTT5-4.12.1-1]; 0x8C is a code of CONNACK but not of DISCONNECT [MQTT5-3.14.2-1].
    const code = state.phase === 'connected' ? RC.protocol_error : RC.bad_authentication_method
    protocolError(state, effects, 'authentication method differs from that of CONNECT', code)
    return
  }
  const data = packet.properties?.authenticationData
  const code = packet.reasonCode ?? 0
  if (code === RC.continue_authentication && state.phase === 'challenged') {
    state.phase = 'authenticating'
    effects.push({ tag: 'auth_step', method, data, isFirst: false })
  } else if (code === RC.continue_authentication && state.reauthentication === 'challenged') {
    state.reauthentication = 'pending'
    effects.push({ tag: 'auth_step', method, data, isFirst: false })
  } else if (code === RC.reauthenticate && state.phase === 'connected' && state.reauthentication === 'none') {
    state.reauthentication = 'pending'
    effects.push({ tag: 'auth_step', method, data, isFirst: true })
  } else {
    // [MQTT5-3.15.2-1]: the sender must use a code that fits where the exchange stands.
    protocolError(state, effects, 'AUTH is not expected')
  }
}

/** Takes the answer of the authentication chain to a re-authentication. */
export function handleReauthentication(state: ProtocolState, effects: ProtocolEffect[], result: AuthResult): void {
  if (state.reauthentication !== 'pending') return
  const method = state.authMethod!
  switch (result.outcome) {
    case 'continue':
      state.reauthentication = 'challenged'
      effects.push({
        tag: 'send',
        packet: {
          cmd: 'auth',
          reasonCode: RC.continue_authentication,
          properties: authProperties(method, result.data, result.reason),
        },
      })
      return
    case 'accept':
      state.reauthentication = 'none'
      effects.push({
        tag: 'send',
        packet: { cmd: 'auth', reasonCode: RC.success, properties: authProperties(method, result.data) },
      })
      return
    case 'refuse':
      // [MQTT5-4.12.1-2]
      fail(state, effects, result.reasonCode, result.reason)
  }
}

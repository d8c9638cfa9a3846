import { describe, expect, it } from 'vitest'
import { connackReturnCode, RC, RETURN_CODE, reasonText, subackCode } from '../../src/broker/reason-codes.ts'

describe('reason codes', () => {
  it('have the text of their first meaning', () => {
    expect(reasonText(RC.normal_disconnection)).toBe('Success')
    expect(reasonText(RC.packet_too_large)).toBe('Packet too large')
    expect(reasonText(0x05)).toBe('0x05')
  })

  it('become return codes for a 3.1.1 CONNACK, or nothing', () => {
    expect(connackReturnCode(RC.success)).toBe(RETURN_CODE.accepted)
    expect(connackReturnCode(RC.unsupported_protocol_version)).toBe(RETURN_CODE.unacceptable_protocol_version)
    expect(connackReturnCode(RC.client_identifier_not_valid)).toBe(RETURN_CODE.identifier_rejected)
    expect(connackReturnCode(RC.server_busy)).toBe(RETURN_CODE.server_unavailable)
    expect(connackReturnCode(RC.bad_username_or_password)).toBe(RETURN_CODE.bad_username_or_password)
    expect(connackReturnCode(RC.banned)).toBe(RETURN_CODE.not_authorized)
    expect(connackReturnCode(RC.malformed_packet)).toBeUndefined()
  })

  it('become 0x80 for a failed filter of 3.1.1', () => {
    expect(subackCode(RC.not_authorized, 4)).toBe(0x80)
    expect(subackCode(RC.not_authorized, 5)).toBe(RC.not_authorized)
    expect(subackCode(RC.granted_qos_2, 3)).toBe(2)
  })
})

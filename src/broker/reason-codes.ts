/**
 * The reason codes of MQTT 5.0 by name, with what 3.1 and 3.1.1 can say instead.
 *
 * There is one table: code outside this file names a reason (`RC.not_authorized`) and never writes a number. 3.1.1 knows
 * reasons in two places only: the return code of CONNACK (1 to 5), and 0x80 in SUBACK; for all else the server just closes
 * the connection [MQTT311-4.8.0-1], so most rows have no 3.1.1 code. A code that has a different meaning in another packet (0x00 is also
 * "granted QoS 0" and "normal disconnection") has a name for each meaning and one text, that of its first row.
 */

/** name: [5.0 reason code, CONNACK return code of 3.1 and 3.1.1 if there is one, text]; in the order of [MQTT5-2.4]. */
const TABLE = {
  success: [0x00, 0, 'Success'],
  normal_disconnection: [0x00, 0, 'Normal disconnection'],
  granted_qos_0: [0x00, undefined, 'Granted QoS 0'],
  granted_qos_1: [0x01, undefined, 'Granted QoS 1'],
  granted_qos_2: [0x02, undefined, 'Granted QoS 2'],
  disconnect_with_will: [0x04, undefined, 'Disconnect with Will Message'],
  no_matching_subscribers: [0x10, undefined, 'No matching subscribers'],
  no_subscription_existed: [0x11, undefined, 'No subscription existed'],
  continue_authentication: [0x18, undefined, 'Continue authentication'],
  reauthenticate: [0x19, undefined, 'Re-authenticate'],
  unspecified_error: [0x80, 3, 'Unspecified error'],
  malformed_packet: [0x81, undefined, 'Malformed Packet'],
  protocol_error: [0x82, undefined, 'Protocol Error'],
  implementation_specific_error: [0x83, 3, 'Implementation specific error'],
  unsupported_protocol_version: [0x84, 1, 'Unsupported Protocol Version'],
  client_identifier_not_valid: [0x85, 2, 'Client Identifier not valid'],
  bad_username_or_password: [0x86, 4, 'Bad User Name or Password'],
  not_authorized: [0x87, 5, 'Not authorized'],
  server_unavailable: [0x88, 3, 'Server unavailable'],
  server_busy: [0x89, 3, 'Server busy'],
  banned: [0x8a, 5, 'Banned'],
  server_shutting_down: [0x8b, 3, 'Server shutting down'],
  bad_authentication_method: [0x8c, 5, 'Bad authentication method'],
  keep_alive_timeout: [0x8d, undefined, 'Keep Alive timeout'],
  session_taken_over: [0x8e, undefined, 'Session taken over'],
  topic_filter_invalid: [0x8f, undefined, 'Topic Filter invalid'],
  topic_name_invalid: [0x90, undefined, 'Topic Name invalid'],
  packet_identifier_in_use: [0x91, undefined, 'Packet Identifier in use'],
  packet_identifier_not_found: [0x92, undefined, 'Packet Identifier not found'],
  receive_maximum_exceeded: [0x93, undefined, 'Receive Maximum exceeded'],
  topic_alias_invalid: [0x94, undefined, 'Topic Alias invalid'],
  packet_too_large: [0x95, undefined, 'Packet too large'],
  message_rate_too_high: [0x96, undefined, 'Message rate too high'],
  quota_exceeded: [0x97, 3, 'Quota exceeded'],
  administrative_action: [0x98, undefined, 'Administrative action'],
  payload_format_invalid: [0x99, undefined, 'Payload format invalid'],
  retain_not_supported: [0x9a, 5, 'Retain not supported'],
  qos_not_supported: [0x9b, 5, 'QoS not supported'],
  use_another_server: [0x9c, 3, 'Use another server'],
  server_moved: [0x9d, 3, 'Server moved'],
  shared_subscriptions_not_supported: [0x9e, undefined, 'Shared Subscriptions not supported'],
  connection_rate_exceeded: [0x9f, 3, 'Connection rate exceeded'],
  maximum_connect_time: [0xa0, undefined, 'Maximum connect time'],
  subscription_identifiers_not_supported: [0xa1, undefined, 'Subscription Identifiers not supported'],
  wildcard_subscriptions_not_supported: [0xa2, undefined, 'Wildcard Subscriptions not supported'],
} as const satisfies Record<string, readonly [code: number, returnCode: number | undefined, text: string]>

/** Name of a reason: the words of [MQTT5-2.4] in snake case. */
export type ReasonName = keyof typeof TABLE

type Rows = readonly (readonly [string, readonly [number, number | undefined, string]])[]

const ROWS: Rows = Object.entries(TABLE)

/** 5.0 reason codes by name, `RC.packet_too_large === 0x95`. */
export const RC = Object.fromEntries(ROWS.map(([name, row]) => [name, row[0]])) as {
  readonly [Name in ReasonName]: (typeof TABLE)[Name][0]
}

/** Codes of this and all greater values are failures [MQTT5-2.4]; 3.1.1 has this one code for a failed filter in SUBACK. */
export const FIRST_FAILURE = RC.unspecified_error

/** Return codes of a 3.1 or 3.1.1 CONNACK by name [MQTT311-3.2.2.3]. */
export const RETURN_CODE = {
  accepted: 0,
  unacceptable_protocol_version: 1,
  identifier_rejected: 2,
  server_unavailable: 3,
  bad_username_or_password: 4,
  not_authorized: 5,
} as const

// The first row of a code gives its text, hence the reversal: the last entry of a key wins.
const TEXTS: ReadonlyMap<number, string> = new Map([...ROWS].reverse().map(([, row]) => [row[0], row[2]]))
const RETURN_CODES: ReadonlyMap<number, number | undefined> = new Map(
  [...ROWS].reverse().map(([, row]) => [row[0], row[1]]),
)

/** Returns the text of a 5.0 reason code for logs and reason strings; for an unknown code the number in hex. */
export function reasonText(code: number): string {
  return TEXTS.get(code) ?? `0x${code.toString(16).padStart(2, '0')}`
}

/**
 * Returns the CONNACK return code that tells a 3.1 or 3.1.1 client as much as possible of a 5.0 reason code, or undefined
 * when the connection is to be closed without CONNACK (malformed packets, protocol errors).
 */
export function connackReturnCode(code: number): number | undefined {
  return RETURN_CODES.get(code)
}

/** Returns the SUBACK code of one filter as the version can say it: 3.1.1 has 0x80 for every failure [MQTT311-3.9.3-2]. */
export function subackCode(code: number, version: 3 | 4 | 5): number {
  return version === 5 || code < FIRST_FAILURE ? code : FIRST_FAILURE
}

/** Codes that only other packets may have, with what comes nearest in DISCONNECT. */
const DISCONNECT_CODES: ReadonlyMap<number, number> = new Map<number, number>([
  [RC.unsupported_protocol_version, RC.protocol_error],
  [RC.client_identifier_not_valid, RC.not_authorized],
  [RC.bad_username_or_password, RC.not_authorized],
  [RC.server_unavailable, RC.server_busy],
  [RC.banned, RC.not_authorized],
  [RC.bad_authentication_method, RC.not_authorized],
  [RC.packet_identifier_in_use, RC.protocol_error],
  [RC.packet_identifier_not_found, RC.protocol_error],
])

/** Returns a reason code as DISCONNECT can say it: clients take a code that is not one of its own for an error [MQTT5-3.14.2-1]. */
export function disconnectCode(code: number): number {
  return DISCONNECT_CODES.get(code) ?? code
}

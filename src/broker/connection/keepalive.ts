/**
 * Keep alive: a client that has sent no control packet for one and a half times its keep alive is cut off
 * [MQTT311-3.1.2-24] [MQTT5-3.1.2-22].
 *
 * One timer runs per connection and is not touched by packets: a packet only notes the time, and when the timer fires
 * the rest of the allowance is armed again. So a busy client costs no timer work, and a silent one is cut at exactly
 * 1.5 times, neither earlier nor up to a whole round later as with a counter that is looked at periodically.
 */

/** The time of silence after which a client is cut off, in ms; Infinity for a keep alive of 0 seconds, which means none. */
function keepAliveLimitMs(keepAliveSec: number): number {
  return keepAliveSec === 0 ? Number.POSITIVE_INFINITY : keepAliveSec * 1500
}

/** When a client was last heard of, and how long it may be silent. */
export class KeepAlive {
  readonly limitMs: number
  /** Time of the last complete control packet, on the clock of whoever calls, in ms. */
  lastPacketMs: number

  constructor(keepAliveSec: number, nowMs: number) {
    this.limitMs = keepAliveLimitMs(keepAliveSec)
    this.lastPacketMs = nowMs
  }

  /** Ms of silence that are left; 0 or less when the client is to be cut off; Infinity when keep alive is off. */
  remainingMs(nowMs: number): number {
    return this.lastPacketMs + this.limitMs - nowMs
  }
}

/*
 * Publishers to subscribers: fan-out, fan-in, pairs, windowed or at a fixed rate.
 *
 * A message is in flight from its PUBLISH until every subscriber that must get
 * it has it and, at QoS 1 and 2, the publisher's own handshake has ended; a
 * publisher sends whenever fewer than --window of its messages are in flight. So
 * QoS 0, which MQTT does not acknowledge, is bounded the same way and nothing
 * need be lost: a message that is, is the broker's doing.
 *
 * Every payload begins with publisher, sequence and time, and ends in a pattern.
 * Each (subscriber, publisher) stream must show the sequence 0, 1, 2, ...; a
 * delivery that does not fit is doubled, out of order, foreign (not subscribed
 * to) or damaged, and what is missing in the end is lost.
 */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x41676e72u
#define STREAM_BITS 4096
#define RATE_RING 16384 /* messages in flight per publisher when a rate is fixed */

struct head { uint32_t magic, publisher; uint64_t sequence, sent_ns, due_ns; };

struct slot { uint32_t missing; bool acknowledged; };

struct publisher {
  struct conn *conn;
  uint64_t next, tail;    /* sequences: [tail, next) are in flight */
  struct slot *ring;
  uint8_t *frame;         /* the PUBLISH to copy; packet id and head are patched in */
  size_t frame_bytes, id_at, head_at;
  char topic[32];
  uint32_t topic_bytes;
  bool queued;
};

struct stream { uint64_t expected, seen[STREAM_BITS / 64]; };

static struct conn *publisher_conns, *subscriber_conns;
static struct publisher *publishers, **ready;
static uint32_t ready_count, ring_mask, window;
static struct stream *streams;
static uint8_t *pattern;
static uint64_t up_count, suback_count;
static uint64_t published, delivered, in_flight, releases_due;
static uint64_t doubled, unordered, foreign, damaged;
static bool publishing, measuring;
static uint64_t started_ns, scheduled;
static struct histogram latency, from_due, lateness;

static void topic_of(char *topic, size_t bytes, uint32_t publisher, bool filter) {
  snprintf(topic, bytes, "bench/%04u/%s", opt.pairs ? publisher : 0, filter && opt.wildcard ? "+" : "t");
}

static void build_frame(struct publisher *p, uint32_t index) {
  topic_of(p->topic, sizeof p->topic, index, false);
  p->topic_bytes = (uint32_t)strlen(p->topic);
  size_t remaining = 2 + p->topic_bytes + (opt.qos ? 2 : 0) + (opt.version == 5) + (size_t)opt.payload;
  uint8_t *at = p->frame = malloc(remaining + 5);
  *at++ = (uint8_t)(PUBLISH << 4 | opt.qos << 1);
  for (size_t rest = remaining;;) {
    *at = rest & 127;
    rest >>= 7;
    if (!rest) break;
    *at++ |= 128;
  }
  at++;
  put16(at, p->topic_bytes);
  memcpy(at + 2, p->topic, p->topic_bytes);
  at += 2 + p->topic_bytes;
  p->id_at = (size_t)(at - p->frame);
  if (opt.qos) at += 2;
  if (opt.version == 5) *at++ = 0;
  p->head_at = (size_t)(at - p->frame);
  memcpy(at, pattern, (size_t)opt.payload);
  p->frame_bytes = p->head_at + (size_t)opt.payload;
}

static void publish(struct publisher *p, uint64_t sent_ns, uint64_t due_ns) {
  uint8_t *frame = conn_reserve(p->conn, p->frame_bytes);
  memcpy(frame, p->frame, p->frame_bytes);
  struct head head = {MAGIC, (uint32_t)(p - publishers), p->next, sent_ns, due_ns};
  memcpy(frame + p->head_at, &head, sizeof head);
  if (opt.qos) put16(frame + p->id_at, (uint32_t)(p->next % 65535 + 1));
  p->ring[p->next & ring_mask] = (struct slot){opt.pairs ? 1 : (uint32_t)opt.subscribers, opt.qos == 0};
  p->next++;
  published++;
  in_flight++;
}

static void pump(void) {
  for (uint32_t i = 0; i < ready_count; i++) {
    struct publisher *p = ready[i];
    p->queued = false;
    uint64_t now = now_ns();
    while (publishing && p->next - p->tail < window) publish(p, now, now);
  }
  ready_count = 0;
}

/* Sends what is due; returns the nanoseconds until the next message is. */
static int64_t pump_at_rate(void) {
  for (;;) {
    uint64_t now = now_ns(), due = started_ns + (uint64_t)((double)scheduled * 1e9 / opt.rate);
    if (due > now) return (int64_t)(due - now);
    struct publisher *p = &publishers[scheduled % (uint64_t)opt.publishers];
    if (p->next - p->tail >= window) return 1000000; /* the broker is far behind; from_due will show it */
    publish(p, now, due);
    if (measuring) histogram_add(&lateness, now - due);
    scheduled++;
  }
}

static void settle(struct publisher *p, uint64_t sequence) {
  if (sequence != p->tail) return;
  while (p->tail < p->next) {
    struct slot *slot = &p->ring[p->tail & ring_mask];
    if (slot->missing || !slot->acknowledged) break;
    p->tail++;
    in_flight--;
  }
  if (!p->queued && opt.rate == 0) {
    p->queued = true;
    ready[ready_count++] = p;
  }
}

static void arrived(struct publisher *p, uint64_t sequence) {
  if (sequence < p->tail || sequence >= p->next) return;
  struct slot *slot = &p->ring[sequence & ring_mask];
  if (slot->missing && --slot->missing == 0) settle(p, sequence);
}

static void on_delivery(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length) {
  struct publish m = read_publish(header, body, length);
  struct head head;
  if (m.qos == 1) put_ack(c, PUBACK, m.packet_id);
  else if (m.qos == 2) {
    put_ack(c, PUBREC, m.packet_id);
    releases_due++;
  }
  if (m.payload_bytes != (uint32_t)opt.payload || m.qos != opt.qos || c->role != 's') {
    damaged++;
    return;
  }
  memcpy(&head, m.payload, sizeof head);
  if (head.magic != MAGIC || memcmp(m.payload + sizeof head, pattern + sizeof head, m.payload_bytes - sizeof head)) {
    damaged++;
    return;
  }
  struct publisher *p = &publishers[head.publisher];
  if (head.publisher >= (uint32_t)opt.publishers || (opt.pairs && head.publisher != c->index) || m.topic_bytes != p->topic_bytes || memcmp(m.topic, p->topic, m.topic_bytes)) {
    foreign++;
    return;
  }
  struct stream *s = &streams[opt.pairs ? c->index : c->index * (uint32_t)opt.publishers + head.publisher];
  uint64_t bit = 1ull << (head.sequence & 63), *word = &s->seen[head.sequence / 64 % (STREAM_BITS / 64)];
  if (head.sequence < s->expected) {
    if (s->expected - head.sequence > STREAM_BITS || *word & bit) doubled++;
    else {
      *word |= bit;
      unordered++;
      delivered++;
    }
    return;
  }
  /* What was skipped is taken for lost, so that its window slot does not stay taken. */
  for (; s->expected < head.sequence; s->expected++) {
    s->seen[s->expected / 64 % (STREAM_BITS / 64)] &= ~(1ull << (s->expected & 63));
    arrived(p, s->expected);
  }
  *word |= bit;
  s->expected++;
  delivered++;
  if (measuring) {
    histogram_add(&latency, net_read_ns - head.sent_ns);
    if (opt.rate > 0) histogram_add(&from_due, net_read_ns - head.due_ns);
  }
  arrived(p, head.sequence);
}

static void on_publisher_ack(struct conn *c, int type, const uint8_t *body, uint32_t length) {
  struct publisher *p = &publishers[c->index];
  uint16_t id = read_packet_id(body, length);
  /* Reason 0x10, no matching subscribers, would be as wrong here as a refusal. */
  if (read_ack_reason(type, body, length)) fail("%c%u got reason code %d for its PUBLISH", c->role, c->index, body[2]);
  uint64_t sequence = p->tail + (uint64_t)((id - 1 - (int64_t)(p->tail % 65535) + 65535) % 65535);
  if (!id || sequence >= p->next) fail("%c%u got packet type %d for packet identifier %u, which is not in use", c->role, c->index, type, id);
  if (type == PUBREC) {
    put_ack(c, PUBREL, id);
    return;
  }
  p->ring[sequence & ring_mask].acknowledged = true;
  if (!p->ring[sequence & ring_mask].missing) settle(p, sequence);
}

static void on_packet(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length) {
  int type = header >> 4;
  if (type == PUBLISH) on_delivery(c, header, body, length);
  else if (c->role == 'p' && (type == (opt.qos == 1 ? PUBACK : PUBREC) || type == PUBCOMP)) on_publisher_ack(c, type, body, length);
  else if (c->role == 's' && type == PUBREL) {
    put_ack(c, PUBCOMP, read_packet_id(body, length));
    releases_due--;
  } else if (type == SUBACK) {
    int code = read_ack_reason(type, body, length);
    if (code != opt.qos) fail("s%u asked for QoS %d and got %d", c->index, opt.qos, code);
    suback_count++;
  } else fail("%c%u got an unexpected packet of type %d", c->role, c->index, type);
}

static void on_up(struct conn *c) {
  up_count++;
  net_open_more();
  if (c->role != 's') return;
  char filter[32];
  topic_of(filter, sizeof filter, c->index, true);
  put_subscribe(c, 1, filter, opt.qos);
}

static void serve_until(uint64_t end_ns) {
  uint64_t now;
  while ((now = now_ns()) < end_ns) {
    int64_t wait = (int64_t)(end_ns - now);
    if (opt.rate > 0) {
      int64_t next = pump_at_rate();
      if (next < wait) wait = next;
    }
    net_turn(wait);
    pump();
  }
}

static bool drained(void) { return !in_flight && !releases_due; }

static void set_up(void) {
  size_t ring = opt.rate > 0 ? RATE_RING : 1;
  while (ring < (size_t)opt.window) ring *= 2;
  ring_mask = (uint32_t)ring - 1;
  pattern = malloc((size_t)opt.payload);
  for (int i = 0; i < opt.payload; i++) pattern[i] = (uint8_t)('a' + i % 26);
  publisher_conns = calloc((size_t)opt.publishers, sizeof *publisher_conns);
  subscriber_conns = calloc((size_t)opt.subscribers, sizeof *subscriber_conns);
  publishers = calloc((size_t)opt.publishers, sizeof *publishers);
  ready = calloc((size_t)opt.publishers, sizeof *ready);
  streams = calloc((size_t)(opt.pairs ? 1 : opt.publishers) * (size_t)opt.subscribers, sizeof *streams);
  for (uint32_t i = 0; i < (uint32_t)opt.publishers; i++) {
    publishers[i].conn = &publisher_conns[i];
    publishers[i].ring = calloc(ring, sizeof(struct slot));
    build_frame(&publishers[i], i);
  }
  static const struct callbacks callbacks = {.up = on_up, .packet = on_packet};
  net_use(&callbacks);
  net_open_all(subscriber_conns, 's', (uint32_t)opt.subscribers);
  if (!wait_for(&suback_count, (uint64_t)opt.subscribers, 10)) fail("only %llu of %d subscribers got a SUBACK", (unsigned long long)suback_count, opt.subscribers);
  up_count = 0;
  net_open_all(publisher_conns, 'p', (uint32_t)opt.publishers);
  if (!wait_for(&up_count, (uint64_t)opt.publishers, 10)) fail("only %llu of %d publishers got a CONNACK", (unsigned long long)up_count, opt.publishers);
  window = opt.rate > 0 ? RATE_RING : (uint32_t)opt.window;
  if (opt.qos && window > net_receive_maximum) window = net_receive_maximum;
}

int run_traffic(void) {
  if (opt.payload < (int)sizeof(struct head)) fail("--payload is at least %zu bytes", sizeof(struct head));
  set_up();
  wait_quietly(0.1);
  publishing = true;
  started_ns = now_ns();
  for (int i = 0; i < opt.publishers && opt.rate == 0; i++) {
    publishers[i].queued = true;
    ready[ready_count++] = &publishers[i];
  }
  pump();
  serve_until(started_ns + (uint64_t)(opt.warmup * 1e9));

  struct usage from = usage_at_edge();
  uint64_t delivered_before = delivered, published_before = published;
  measuring = true;
  serve_until(from.at_ns + (uint64_t)(opt.seconds * 1e9));
  measuring = false;
  struct usage to = usage_at_edge();
  uint64_t in_window = delivered - delivered_before, published_in_window = published - published_before;

  publishing = false;
  uint64_t last = delivered, since = now_ns();
  while (!drained() && (double)(now_ns() - since) < opt.patience * 1e9) {
    net_turn(20000000);
    pump();
    if (delivered != last) {
      last = delivered;
      since = now_ns();
    }
  }
  bool finished = drained();
  wait_quietly(0.2); /* a doubled delivery may still come */
  uint64_t expected = 0;
  for (int i = 0; i < opt.publishers; i++) expected += publishers[i].next * (opt.pairs ? 1 : (uint64_t)opt.subscribers);
  uint64_t lost = expected - delivered;

  report_open();
  report_number("seconds", (double)(to.at_ns - from.at_ns) / 1e9);
  report_number("window", window);
  report_number("published", (double)published_in_window);
  report_number("deliveries", (double)in_window);
  report_usage("", from, to, (double)in_window);
  report_number("latencyP50Ms", histogram_ms(&latency, 0.5));
  report_number("latencyP95Ms", histogram_ms(&latency, 0.95));
  report_number("latencyP99Ms", histogram_ms(&latency, 0.99));
  report_number("latencyMaxMs", (double)latency.max / 1e6);
  if (opt.rate > 0) {
    report_number("fromDueP99Ms", histogram_ms(&from_due, 0.99));
    report_number("generatorLateP99Ms", histogram_ms(&lateness, 0.99));
  }
  if (opt.pids) report_number("rssMiB", (double)to.rss_bytes / 1048576);
  report_number("deliveriesInAll", (double)delivered);
  report_number("lost", (double)lost);
  report_number("doubled", (double)doubled);
  report_number("outOfOrder", (double)unordered);
  report_number("foreign", (double)foreign);
  report_number("damaged", (double)damaged);
  report_number("unfinishedHandshakes", finished ? 0 : (double)(in_flight + releases_due));
  report_close();
  return lost || doubled || unordered || foreign || damaged || !finished ? 3 : 0;
}

/*
 * A mass of exact filters, one a SUBSCRIBE, then one an UNSUBSCRIBE.
 *
 * --window packets per client are unacknowledged at a time. The moment the last
 * SUBACK has come, one message goes to each of --samples filters spread over all
 * of them: each must reach the client that subscribed, and only it. After the
 * last UNSUBACK the same messages are published again and none may arrive.
 */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct conn *clients, publisher;
static uint32_t *sent, *acked; /* per client: filters asked for, filters acknowledged */
static uint64_t up_count, acknowledged, arrived, astray, repeated, pongs;
static bool unsubscribing;
static uint8_t *seen; /* per sample */

static uint32_t share_of(uint32_t client) { return (uint32_t)opt.filters / (uint32_t)opt.clients + (client < (uint32_t)(opt.filters % opt.clients)); }

static void filter_of(char *filter, size_t bytes, uint32_t client, uint32_t number) { snprintf(filter, bytes, "device/%04u/%06u/state", client, number); }

static void ask(struct conn *c) {
  uint32_t share = share_of(c->index);
  char filter[64];
  while (sent[c->index] < share && sent[c->index] - acked[c->index] < (uint32_t)opt.window) {
    uint32_t number = sent[c->index]++;
    filter_of(filter, sizeof filter, c->index, number);
    uint16_t id = (uint16_t)(number % 65535 + 1);
    if (unsubscribing) put_unsubscribe(c, id, filter);
    else put_subscribe(c, id, filter, 0);
  }
}

static void on_up(struct conn *c) {
  (void)c;
  up_count++;
  net_open_more();
}

static void on_packet(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length) {
  int type = header >> 4;
  if (type == PUBLISH) {
    struct publish m = read_publish(header, body, length);
    uint32_t sample, client;
    if (m.payload_bytes != 8) fail("a payload of %u bytes that nobody sent", m.payload_bytes);
    memcpy(&sample, m.payload, 4);
    memcpy(&client, m.payload + 4, 4);
    arrived++;
    if (client != c->index) astray++;
    if (sample < (uint32_t)opt.samples && seen[sample]++) repeated++;
  } else if (type == PINGRESP) pongs++;
  else if (type == (unsubscribing ? UNSUBACK : SUBACK)) {
    int code = read_ack_reason(type, body, length);
    uint16_t id = read_packet_id(body, length);
    if (code) fail("%c%u: reason code %d for filter %u", c->role, c->index, code, acked[c->index]);
    if (id != acked[c->index] % 65535 + 1) fail("%c%u: acknowledgement %u out of order", c->role, c->index, id);
    acked[c->index]++;
    acknowledged++;
    ask(c);
  } else fail("%c%u got an unexpected packet of type %d", c->role, c->index, type);
}

static void run_all(void) {
  memset(sent, 0, (size_t)opt.clients * sizeof *sent);
  memset(acked, 0, (size_t)opt.clients * sizeof *acked);
  acknowledged = 0;
  for (int i = 0; i < opt.clients; i++) ask(&clients[i]);
  if (!wait_for(&acknowledged, (uint64_t)opt.filters, 20))
    fail("%llu of %d filters were acknowledged, then nothing for 20 s", (unsigned long long)acknowledged, opt.filters);
}

/* Publishes to every sample at once; returns how many came. */
static uint64_t probe(double patience) {
  arrived = 0;
  memset(seen, 0, (size_t)opt.samples);
  for (uint32_t i = 0; i < (uint32_t)opt.samples; i++) {
    uint32_t client = i % (uint32_t)opt.clients, share = share_of(client);
    uint32_t per_client = ((uint32_t)opt.samples + (uint32_t)opt.clients - 1) / (uint32_t)opt.clients;
    uint32_t number = (uint32_t)((uint64_t)(i / (uint32_t)opt.clients) * share / per_client);
    uint32_t payload[2] = {i, client};
    char topic[64];
    filter_of(topic, sizeof topic, client, number);
    put_publish0(&publisher, topic, payload, sizeof payload);
  }
  wait_for(&arrived, (uint64_t)opt.samples, patience);
  return arrived;
}

int run_subscribe(void) {
  static const struct callbacks callbacks = {.up = on_up, .packet = on_packet};
  net_use(&callbacks);
  if (opt.samples > opt.filters) opt.samples = opt.filters;
  clients = calloc((size_t)opt.clients, sizeof *clients);
  sent = calloc((size_t)opt.clients, sizeof *sent);
  acked = calloc((size_t)opt.clients, sizeof *acked);
  seen = calloc((size_t)opt.samples, 1);
  net_open_all(clients, 's', (uint32_t)opt.clients);
  if (!wait_for(&up_count, (uint64_t)opt.clients, 10)) fail("not every client was accepted");
  conn_open(&publisher, 'p', 0);
  if (!wait_for(&up_count, (uint64_t)opt.clients + 1, 10)) fail("the publisher was not accepted");
  wait_quietly(opt.settle);

  struct usage before = usage_at_edge();
  run_all();
  struct usage subscribed = usage_at_edge();
  uint64_t reached = probe(opt.patience), wrong = astray, twice = repeated;
  wait_quietly(opt.settle);
  struct usage quiet = usage_now();
  unsubscribing = true;
  struct usage unsubscribe_from = usage_now();
  run_all();
  struct usage unsubscribed = usage_now();
  uint64_t after_unsuback = probe(opt.patience / 3);
  for (int i = 0; i < opt.clients; i++) put_ping(&clients[i]);
  bool alive = wait_for(&pongs, (uint64_t)opt.clients, 10);

  report_open();
  report_number("filters", opt.filters);
  report_number("clients", opt.clients);
  report_usage("", before, subscribed, opt.filters);
  report_usage("unsubscribe", unsubscribe_from, unsubscribed, opt.filters);
  if (opt.pids) {
    report_number("bytesPerFilter", ((double)quiet.rss_bytes - (double)before.rss_bytes) / opt.filters);
    report_number("rssMiB", (double)quiet.rss_bytes / 1048576);
  }
  report_number("samples", opt.samples);
  report_number("samplesDelivered", (double)reached);
  report_number("lost", (double)opt.samples - (double)(reached - twice));
  report_number("doubled", (double)twice);
  report_number("foreign", (double)wrong);
  report_number("afterUnsuback", (double)after_unsuback);
  report_close();
  return alive && reached == (uint64_t)opt.samples && !twice && !wrong && !after_unsuback ? 0 : 3;
}

/*
 * Connects, and what a connection that then lies idle costs.
 *
 * Some connections are made and closed first, so that neither a compiler that
 * learns nor a heap that grows once is charged to the connections counted.
 * Memory is the broker's resident set after a quiet time, first with no
 * subscription, then with one filter per connection. In the end every
 * connection answers a PINGREQ, so that none was dropped on the way.
 */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>

static struct conn *conns;
static uint64_t up_count, acknowledged, pongs;
static bool rehearsing;
static struct histogram latency;

static void on_up(struct conn *c) {
  up_count++;
  if (rehearsing) conn_close(c);
  else histogram_add(&latency, net_read_ns - c->opened_ns);
  net_open_more();
}

static void on_packet(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length) {
  switch (header >> 4) {
    case SUBACK:
      if (read_ack_reason(SUBACK, body, length) != 0) fail("%c%u: SUBSCRIBE refused", c->role, c->index);
      acknowledged++;
      break;
    case PINGRESP: pongs++; break;
    default: fail("%c%u got an unexpected packet of type %d", c->role, c->index, header >> 4);
  }
}

static void open_and_wait(char role, uint32_t count) {
  up_count = 0;
  net_open_all(conns, role, count);
  if (!wait_for(&up_count, count, 10)) fail("%llu of %u connections were accepted", (unsigned long long)up_count, count);
}

int run_connect(void) {
  static const struct callbacks callbacks = {.up = on_up, .packet = on_packet};
  net_use(&callbacks);
  uint32_t count = (uint32_t)opt.connections, rehearsal = count < 500 ? count : 500;
  conns = calloc(count, sizeof *conns);
  rehearsing = true;
  open_and_wait('r', rehearsal);
  rehearsing = false;
  wait_quietly(opt.settle);

  struct usage before = usage_at_edge();
  open_and_wait('c', count);
  struct usage after = usage_at_edge();
  wait_quietly(opt.settle);
  struct usage idle = usage_now();

  for (uint32_t i = 0; i < count; i++) {
    char filter[64];
    snprintf(filter, sizeof filter, "device/%06u/command", i);
    put_subscribe(&conns[i], 1, filter, 0);
    if (i % (uint32_t)opt.at_once == 0 && !wait_for(&acknowledged, i > (uint32_t)opt.at_once ? i - (uint32_t)opt.at_once : 0, 10)) break;
  }
  if (!wait_for(&acknowledged, count, 10)) fail("%llu of %u subscriptions were acknowledged", (unsigned long long)acknowledged, count);
  wait_quietly(opt.settle);
  struct usage subscribed = usage_now();
  for (uint32_t i = 0; i < count; i++) put_ping(&conns[i]);
  bool alive = wait_for(&pongs, count, 10);

  report_open();
  report_number("connections", count);
  report_usage("", before, after, count);
  report_number("latencyP50Ms", histogram_ms(&latency, 0.5));
  report_number("latencyP99Ms", histogram_ms(&latency, 0.99));
  if (opt.pids) {
    report_number("rssBeforeMiB", (double)before.rss_bytes / 1048576);
    report_number("rssIdleMiB", (double)idle.rss_bytes / 1048576);
    report_number("kibPerIdleConnection", ((double)idle.rss_bytes - (double)before.rss_bytes) / 1024 / count);
    report_number("kibPerSubscribedConnection", ((double)subscribed.rss_bytes - (double)before.rss_bytes) / 1024 / count);
    report_number("idleBrokerShare", (double)(idle.broker_us - after.broker_us) / ((double)(idle.at_ns - after.at_ns) / 1e3));
  }
  report_number("lost", (double)(count - pongs));
  report_close();
  return alive ? 0 : 3;
}

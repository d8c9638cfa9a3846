/*
 * The sockets: one epoll, level triggered, one read buffer for all connections.
 *
 * A read takes whatever the kernel holds (up to 256 KiB) into the shared buffer,
 * so a turn costs one recv(2) per readable socket however many packets came; only
 * the torn last packet is copied to its connection. Writes gather in the
 * connection's out buffer and leave at the end of the turn with one send(2).
 */
#define _GNU_SOURCE
#include "gen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define EVENTS 2048

static int poller;
static struct sockaddr_in address;
static const struct callbacks *mode;
static uint8_t *read_buffer;
static struct conn **dirty;
static size_t dirty_count, dirty_cap;
static char prefix[32];
uint64_t net_read_ns;
uint32_t net_receive_maximum = 65535;
static struct { struct conn *conns; uint32_t next, count; char role; } opening;

void net_init(const struct options *options) {
  poller = epoll_create1(0);
  /* Room for the longest packet that MQTT allows would be 256 MiB; a carried packet grows the buffer when needed. */
  read_buffer = malloc(READ_BYTES * 2);
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)options->port);
  if (inet_pton(AF_INET, options->host, &address.sin_addr) != 1) fail("--host takes an IPv4 address, not '%s'", options->host);
  snprintf(prefix, sizeof prefix, "g%d", (int)getpid());
}

const char *net_client_prefix(void) { return prefix; }
void net_use(const struct callbacks *callbacks) { mode = callbacks; }

static void arm(struct conn *c, int operation, bool write) {
  struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(poller, operation, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
  c->wants_write = write;
}

void conn_open(struct conn *c, char role, uint32_t index) {
  c->role = role;
  c->index = index;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket: %s (the limit of open files is `ulimit -n`)", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->opened_ns = now_ns();
  c->state = CONNECTING;
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
    fail("connect to %s:%d: %s", opt.host, opt.port, strerror(errno));
  arm(c, EPOLL_CTL_ADD, true);
}

void net_open_more(void) {
  if (opening.next == opening.count) return;
  uint32_t i = opening.next++;
  conn_open(&opening.conns[i], opening.role, i);
}

void net_open_all(struct conn *conns, char role, uint32_t count) {
  opening.conns = conns;
  opening.role = role;
  opening.next = 0;
  opening.count = count;
  for (int i = 0; i < opt.at_once; i++) net_open_more();
}

void conn_close(struct conn *c) {
  if (c->state == CLOSED) return;
  close(c->fd);
  c->state = CLOSED;
  c->in_len = c->out_len = c->out_off = 0;
}

uint8_t *conn_reserve(struct conn *c, size_t bytes) {
  if (c->out_len + bytes > c->out_cap) {
    c->out_cap = c->out_cap ? c->out_cap * 2 : 256;
    while (c->out_cap < c->out_len + bytes) c->out_cap *= 2;
    c->out = realloc(c->out, c->out_cap);
    if (!c->out) fail("out of memory");
  }
  if (!c->dirty && !c->wants_write) {
    if (dirty_count == dirty_cap) {
      dirty_cap = dirty_cap ? dirty_cap * 2 : 1024;
      dirty = realloc(dirty, dirty_cap * sizeof *dirty);
    }
    dirty[dirty_count++] = c;
    c->dirty = true;
  }
  uint8_t *p = c->out + c->out_len;
  c->out_len += bytes;
  return p;
}

static void flush(struct conn *c) {
  if (c->state == CLOSED) return;
  ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
  if (n < 0) {
    if (errno != EAGAIN) fail("send on %c%u: %s (the broker closed the connection?)", c->role, c->index, strerror(errno));
    n = 0;
  }
  c->out_off += (size_t)n;
  if (c->out_off == c->out_len) {
    c->out_off = c->out_len = 0;
    if (c->wants_write) arm(c, EPOLL_CTL_MOD, false);
  } else if (!c->wants_write) arm(c, EPOLL_CTL_MOD, true);
}

void net_flush(void) {
  for (size_t i = 0; i < dirty_count; i++) {
    dirty[i]->dirty = false;
    flush(dirty[i]);
  }
  dirty_count = 0;
}

static void on_packet(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length) {
  if (c->state == AWAITING_CONNACK) {
    if (header >> 4 != CONNACK || length < 2) fail("%c%u got packet type %d instead of CONNACK", c->role, c->index, header >> 4);
    if (body[1]) fail("%c%u was refused with code %d", c->role, c->index, body[1]);
    if (opt.version == 5) {
      uint32_t maximum = read_receive_maximum(body, length);
      if (maximum < net_receive_maximum) net_receive_maximum = maximum;
    }
    c->state = UP;
    mode->up(c);
  } else if (header >> 4 == DISCONNECT) fail("the broker sent DISCONNECT to %c%u, reason %d", c->role, c->index, length ? body[0] : 0);
  else mode->packet(c, header, body, length);
}

/* Hands over every whole packet of bytes[0..n); returns how many bytes those were. */
static size_t cut(struct conn *c, const uint8_t *bytes, size_t n) {
  size_t at = 0;
  while (n - at >= 2) {
    uint32_t length = 0;
    size_t p = at + 1;
    int shift = 0;
    bool whole = false;
    while (p < n && shift <= 21) {
      uint8_t b = bytes[p++];
      length |= (uint32_t)(b & 127) << shift;
      shift += 7;
      if (!(b & 128)) {
        whole = true;
        break;
      }
    }
    if (!whole && shift > 21) fail("%c%u got a malformed remaining length", c->role, c->index);
    if (!whole || n - p < length) break;
    on_packet(c, bytes[at], bytes + p, length);
    if (c->state == CLOSED) return n;
    at = p + length;
  }
  return at;
}

static void on_readable(struct conn *c) {
  size_t carried = c->in_len;
  uint8_t *buffer = read_buffer;
  if (carried > READ_BYTES) { /* a huge packet is gathered in its own buffer */
    if (c->in_cap < carried + READ_BYTES) c->in = realloc(c->in, c->in_cap = carried * 2 + READ_BYTES);
    buffer = c->in;
  } else memcpy(buffer, c->in, carried);
  ssize_t n = recv(c->fd, buffer + carried, READ_BYTES, 0);
  if (n <= 0) {
    if (n < 0 && errno == EAGAIN) return;
    fail("the broker closed the connection of %c%u%s%s", c->role, c->index, n ? ": " : "", n ? strerror(errno) : "");
  }
  net_read_ns = now_ns();
  size_t total = carried + (size_t)n, used = cut(c, buffer, total);
  if (c->state == CLOSED) return;
  c->in_len = total - used;
  if (!c->in_len) return;
  if (c->in_len > c->in_cap) c->in = realloc(c->in, c->in_cap = c->in_len + 128);
  memmove(c->in, buffer + used, c->in_len);
}

static void on_connected(struct conn *c) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) fail("connect to %s:%d: %s", opt.host, opt.port, strerror(error));
  arm(c, EPOLL_CTL_MOD, false);
  c->state = AWAITING_CONNACK;
  char id[64];
  snprintf(id, sizeof id, "%s-%c%u", prefix, c->role, c->index);
  put_connect(c, id);
}

void net_turn(int64_t timeout_ns) {
  static struct epoll_event events[EVENTS];
  net_flush();
  struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
  int n = epoll_pwait2(poller, events, EVENTS, &timeout, NULL);
  if (n < 0 && errno == ENOSYS) n = epoll_wait(poller, events, EVENTS, (int)((timeout_ns + 999999) / 1000000));
  if (n < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (c->state == CLOSED) continue;
    if (c->state == CONNECTING) {
      on_connected(c);
      continue;
    }
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
    if (c->state != CLOSED && c->wants_write && events[i].events & EPOLLOUT) flush(c);
  }
}

/*
 * Declarations that the parts of the load generator share.
 *
 * One process, one thread, one epoll: a generator that is to be faster than any
 * broker must not spend its core on locks, copies or allocation. Every
 * connection belongs to the loop in net.c, which cuts the byte stream into MQTT
 * packets and hands them to the mode that runs (traffic.c, connect.c,
 * subscribe.c). A mode writes into the connection's out buffer; the loop sends
 * each buffer once per turn, so that the broker sees what a pipelining client
 * would send.
 */
#ifndef GEN_H
#define GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONNECT = 1, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT };

struct options {
  const char *mode;      /* traffic, connect, subscribe */
  const char *host;      /* an IPv4 address */
  int port;
  int version;           /* 4 = MQTT 3.1.1, 5 = MQTT 5.0 */
  int publishers, subscribers;
  bool pairs;            /* publisher i to subscriber i only; else everyone to everyone */
  bool wildcard;         /* subscribers use a + in place of the last level */
  int qos;
  int window;            /* messages in flight per publisher, or SUBSCRIBEs per client */
  int payload;           /* bytes of PUBLISH payload */
  double rate;           /* messages per second over all publishers; 0 = as the window allows */
  double warmup, seconds;
  int connections, at_once; /* connect mode */
  int filters, clients, samples; /* subscribe mode */
  double settle;         /* seconds of quiet before memory is read */
  double patience;       /* seconds without a delivery after which what is missing is lost */
  const char *pids;      /* the broker's processes, comma separated; NULL = not measured */
  bool mark;             /* SIGUSR2 to the broker at both ends of the measured time */
  bool json;
};

struct conn {
  int fd;
  uint8_t state;         /* enum conn_state */
  bool wants_write;      /* EPOLLOUT is armed */
  bool dirty;            /* is in the list that the turn's end flushes */
  char role;             /* free for the mode: 'p' publisher, 's' subscriber, ... */
  uint32_t index;        /* the mode's number of this connection within its role */
  uint8_t *out;          /* bytes not yet taken by the kernel: out_off..out_len */
  size_t out_off, out_len, out_cap;
  uint8_t *in;           /* the start of a packet whose end has not come */
  size_t in_len, in_cap;
  uint64_t opened_ns;
};
enum conn_state { CLOSED, CONNECTING, AWAITING_CONNACK, UP };

/* What the loop tells the mode that runs. */
struct callbacks {
  void (*up)(struct conn *c);
  void (*packet)(struct conn *c, uint8_t header, const uint8_t *body, uint32_t length);
};

/* net.c */
void net_init(const struct options *options);
void net_use(const struct callbacks *callbacks);
void conn_open(struct conn *c, char role, uint32_t index);
void conn_close(struct conn *c);
uint8_t *conn_reserve(struct conn *c, size_t bytes); /* room at the end of the out buffer, already counted as written */
void net_turn(int64_t timeout_ns);                   /* wait, read, dispatch, then flush what was written meanwhile */
void net_flush(void);
const char *net_client_prefix(void);
extern uint32_t net_receive_maximum;                 /* the least that a CONNACK of MQTT 5 allowed */
extern uint64_t net_read_ns;                         /* when the bytes now being dispatched were read */
/* Opens conns[0..count), keeping at most at_once of them short of their CONNACK; the mode calls net_open_more from up(). */
void net_open_all(struct conn *conns, char role, uint32_t count);
void net_open_more(void);

/* packets.c: each appends one packet to c's out buffer */
void put_connect(struct conn *c, const char *client_id);
void put_subscribe(struct conn *c, uint16_t packet_id, const char *filter, int qos);
void put_unsubscribe(struct conn *c, uint16_t packet_id, const char *filter);
void put_ack(struct conn *c, int type, uint16_t packet_id);
void put_ping(struct conn *c);
void put_publish0(struct conn *c, const char *topic, const void *payload, size_t bytes);
/* Points at the payload of a PUBLISH; packet_id is 0 at QoS 0. Exits on a malformed packet. */
struct publish { const uint8_t *topic, *payload; uint32_t topic_bytes, payload_bytes; uint16_t packet_id; int qos; };
struct publish read_publish(uint8_t header, const uint8_t *body, uint32_t length);
uint16_t read_packet_id(const uint8_t *body, uint32_t length);
/* The receive maximum in the properties of a CONNACK of MQTT 5. */
uint32_t read_receive_maximum(const uint8_t *body, uint32_t length);
/* The reason code of an acknowledgement, 0 when it carries none. */
int read_ack_reason(int type, const uint8_t *body, uint32_t length);

/* measure.c */
uint64_t now_ns(void);
struct usage { uint64_t at_ns, self_us, broker_us, broker_ticks_us, broker_reads, broker_writes, rss_bytes; };
struct usage usage_now(void);
/* usage_now at an edge of the measured time: tells a profiler in the broker too. */
struct usage usage_at_edge(void);
struct histogram { uint64_t count, max; uint32_t bucket[2816]; };
void histogram_add(struct histogram *h, uint64_t value_ns);
double histogram_ms(const struct histogram *h, double quantile);
void report_open(void);
void report_number(const char *name, double value);
void report_text(const char *name, const char *value);
/* An operation is a delivery, a connection or a filter. */
void report_usage(const char *prefix, struct usage from, struct usage to, double operations);
void report_close(void);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void wait_quietly(double seconds); /* serves the sockets meanwhile */
/* Turns until *counter reaches goal; false when nothing arrived for patience seconds. */
bool wait_for(const uint64_t *counter, uint64_t goal, double patience);

/* the modes: each returns the process' exit code */
int run_traffic(void);
int run_connect(void);
int run_subscribe(void);

extern struct options opt;

static inline void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static inline uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

#endif

/* The "hostname" web application of source document 004, as a small static program.
 *
 * HTTP on $PORT (3000):  GET /         Saludos desde HOSTNAME!
 *                        GET /client   address of the peer, as seen here: "192.0.2.100 40312"
 *                        GET /who      HOSTNAME and the peer's address on one line
 *                        GET /slow     the answer of / after 300 ms, to have requests in flight
 *                        GET /healthz  ok
 *                        else          404
 * UDP on the same port:  every datagram is answered with "HOSTNAME ADDRESS PORT DATAGRAM".
 * Keeps connections alive. SIGTERM: stops accepting, answers what has begun, exit code 0.
 * One thread, epoll, a fixed table of connections; nothing is allocated after start.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { kConnections = 1024, kRequestBytes = 4096, kSlowMilliseconds = 300 };

struct connection {
  int fd;         /* -1: free */
  int timer;      /* -1, or the timerfd of a /slow request */
  int keep_alive; /* of the request being answered */
  size_t used;
  char request[kRequestBytes];
};

static struct connection connections[kConnections];
static char hostname[256];
static int epoll_fd, listen_fd, udp_fd, signal_fd, stopping, open_count;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static void watch(int fd, void* tag) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void peer_of(const struct sockaddr_in6* address, char* text, size_t size, int* port) {
  inet_ntop(AF_INET6, &address->sin6_addr, text, size);
  if (strncmp(text, "::ffff:", 7) == 0) memmove(text, text + 7, strlen(text + 7) + 1);
  *port = ntohs(address->sin6_port);
}

static void close_connection(struct connection* c) {
  close(c->fd);
  if (c->timer >= 0) close(c->timer);
  c->fd = c->timer = -1;
  open_count--;
}

static void answer(struct connection* c, const char* path) {
  char body[600], head[300], peer[INET6_ADDRSTRLEN] = "?";
  struct sockaddr_in6 address;
  socklen_t size = sizeof address;
  int port = 0, code = 200;
  if (getpeername(c->fd, (struct sockaddr*)&address, &size) == 0) peer_of(&address, peer, sizeof peer, &port);
  if (strcmp(path, "/") == 0 || strcmp(path, "/slow") == 0)
    snprintf(body, sizeof body, "Saludos desde %s!", hostname);
  else if (strcmp(path, "/client") == 0)
    snprintf(body, sizeof body, "%s %d", peer, port);
  else if (strcmp(path, "/who") == 0)
    snprintf(body, sizeof body, "%s %s %d", hostname, peer, port);
  else if (strcmp(path, "/healthz") == 0)
    snprintf(body, sizeof body, "ok");
  else
    code = 404, snprintf(body, sizeof body, "Cannot GET %.500s", path);
  int keep = c->keep_alive && !stopping;
  int length =
      snprintf(head, sizeof head,
               "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: "
               "%s\r\n\r\n",
               code == 200 ? "200 OK" : "404 Not Found", strlen(body), keep ? "keep-alive" : "close");
  char out[sizeof head + sizeof body];
  memcpy(out, head, (size_t)length);
  memcpy(out + length, body, strlen(body));
  ssize_t sent = send(c->fd, out, (size_t)length + strlen(body), MSG_NOSIGNAL);
  if (sent < 0 || !keep) close_connection(c);
}

/* Answers every whole request in the buffer; /slow waits for its timer first. */
static void serve(struct connection* c) {
  for (char* end; c->fd >= 0 && c->timer < 0 && (end = memmem(c->request, c->used, "\r\n\r\n", 4)) != NULL;) {
    size_t length = (size_t)(end - c->request) + 4;
    char method[16] = "", path[512] = "", version[16] = "";
    *end = 0;
    sscanf(c->request, "%15s %511s %15s", method, path, version);
    c->keep_alive =
        strcmp(version, "HTTP/1.1") == 0 && strcasestr(c->request, "\r\nconnection: close") == NULL;
    memmove(c->request, c->request + length, c->used - length);
    c->used -= length;
    if (strcmp(path, "/slow") == 0) {
      struct itimerspec when = {.it_value.tv_nsec = kSlowMilliseconds * 1000000L};
      c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
      timerfd_settime(c->timer, 0, &when, NULL);
      watch(c->timer, (char*)c + 1); /* odd: the timer of this connection */
      return;
    }
    answer(c, path);
  }
  if (c->fd >= 0 && c->used == kRequestBytes) close_connection(c);
}

static void readable(struct connection* c) {
  ssize_t n = recv(c->fd, c->request + c->used, kRequestBytes - c->used, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    close_connection(c);
    return;
  }
  c->used += (size_t)n;
  serve(c);
}

static void accept_one(void) {
  int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
  if (fd < 0) return;
  for (int i = 0; i < kConnections; i++) {
    struct connection* c = &connections[i];
    if (c->fd >= 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd, c->timer = -1, c->used = 0;
    open_count++;
    watch(fd, c);
    return;
  }
  close(fd);
}

static void answer_datagram(void) {
  char data[1024], out[2048], peer[INET6_ADDRSTRLEN];
  struct sockaddr_in6 from;
  socklen_t size = sizeof from;
  int port;
  ssize_t n = recvfrom(udp_fd, data, sizeof data - 1, MSG_DONTWAIT, (struct sockaddr*)&from, &size);
  if (n < 0) return;
  data[n] = 0;
  peer_of(&from, peer, sizeof peer, &port);
  int length = snprintf(out, sizeof out, "%s %s %d %s", hostname, peer, port, data);
  sendto(udp_fd, out, (size_t)length, 0, (struct sockaddr*)&from, size);
}

static int bound_socket(int type, int port) {
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), one = 1, zero = 0;
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  struct sockaddr_in6 address = {
      .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any};
  if (bind(fd, (struct sockaddr*)&address, sizeof address)) die("bind");
  return fd;
}

static void begin_stop(void) {
  stopping = 1;
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, listen_fd, NULL);
  close(listen_fd);
  for (int i = 0; i < kConnections; i++) /* idle ones; a request that has begun is answered first */
    if (connections[i].fd >= 0 && connections[i].timer < 0 && connections[i].used == 0)
      close_connection(&connections[i]);
}

int main(void) {
  int port = getenv("PORT") ? atoi(getenv("PORT")) : 3000;
  sigset_t set;
  gethostname(hostname, sizeof hostname - 1);
  for (int i = 0; i < kConnections; i++) connections[i].fd = connections[i].timer = -1;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  listen_fd = bound_socket(SOCK_STREAM, port);
  if (listen(listen_fd, 511)) die("listen");
  udp_fd = bound_socket(SOCK_DGRAM, port);
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
  watch(listen_fd, &listen_fd);
  watch(udp_fd, &udp_fd);
  watch(signal_fd, &signal_fd);
  printf("Server listening on port %d!\n", port);
  fflush(stdout);
  while (!stopping || open_count > 0) {
    struct epoll_event events[64];
    int n = epoll_wait(epoll_fd, events, 64, -1);
    for (int i = 0; i < n; i++) {
      void* tag = events[i].data.ptr;
      if (tag == &listen_fd)
        accept_one();
      else if (tag == &udp_fd)
        answer_datagram();
      else if (tag == &signal_fd) {
        if (!stopping) begin_stop();
        struct signalfd_siginfo info;
        if (read(signal_fd, &info, sizeof info) < 0) die("read signalfd");
      } else if ((size_t)tag & 1) {
        struct connection* c = (struct connection*)((char*)tag - 1);
        if (c->timer < 0) continue;
        close(c->timer);
        c->timer = -1;
        answer(c, "/slow");
        if (c->fd >= 0) serve(c);
      } else if (((struct connection*)tag)->fd >= 0)
        readable(tag);
    }
  }
  printf("Server stopped\n");
  return 0;
}

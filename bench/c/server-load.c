// The client of every server that bench/server.ts measures.
//   echo <port> <bytes> <connections> <ms>   thousands of replies a second; each connection sends its next
//                                            message when it has the last one back
//   recover <port> <times>                    ms from SIGKILL of the worker that answered until another
//                                            answers; the server says its worker's pid to whatever is sent
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_MS 200
#define EVENTS 64
#define RETRY_US 100
#define ASK_EVERY_MS 5
#define MOST_ASKED 1000
#define PAUSE_US 20000

typedef struct {
  int fd;
  unsigned round;
  size_t received;
  char *out;
  char *in;
} connection;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int try_connect(int port) {
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((unsigned short)port),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int on = 1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

static void send_next(connection *c, size_t bytes) {
  c->round++;
  c->received = 0;
  memcpy(c->out, &c->round, sizeof(c->round));
  // A socket with nothing on its way has room for all of it.
  if (send(c->fd, c->out, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail("send");
}

static void open_one(connection *c, int epoll, int port, size_t bytes) {
  c->fd = try_connect(port);
  if (c->fd < 0) fail("connect");
  c->round = 0;
  c->in = malloc(bytes);
  c->out = malloc(bytes);
  for (size_t i = 0; i < bytes; i++) c->out[i] = (char)(i * 31 + (size_t)c->fd);
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll_ctl");
}

// 1: a whole message has come back.
static int receive_some(connection *c, size_t bytes) {
  const ssize_t n = recv(c->fd, c->in + c->received, bytes - c->received, 0);
  if (n <= 0) fail("recv");
  c->received += (size_t)n;
  if (c->received < bytes) return 0;
  if (memcmp(c->in, c->out, bytes) == 0) return 1;
  fprintf(stderr, "the reply is not what was sent\n");
  exit(1);
}

static long run_until(double end, int epoll, size_t bytes) {
  struct epoll_event events[EVENTS];
  long replies = 0;
  while (now_ms() < end) {
    const int ready = epoll_wait(epoll, events, EVENTS, 100);
    for (int i = 0; i < ready; i++) {
      connection *c = events[i].data.ptr;
      if (!receive_some(c, bytes)) continue;
      replies++;
      send_next(c, bytes);
    }
  }
  return replies;
}

static void echo(int port, size_t bytes, int count, int ms) {
  connection *all = calloc((size_t)count, sizeof(*all));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < count; i++) open_one(&all[i], epoll, port, bytes);
  for (int i = 0; i < count; i++) send_next(&all[i], bytes);
  run_until(now_ms() + WARM_UP_MS, epoll, bytes);
  const double begin = now_ms();
  const long replies = run_until(begin + ms, epoll, bytes);
  printf("[%.3f]\n", (double)replies / (now_ms() - begin));
  for (int i = 0; i < count; i++) {
    close(all[i].fd);
    free(all[i].in);
    free(all[i].out);
  }
  close(epoll);
  free(all);
}

// Asks by one more connection. Those before it may still be answered, or have been lost with the worker.
static int ask_again(int port, struct pollfd *asked, int count) {
  if (count == MOST_ASKED) fail("nobody answers");
  const int fd = try_connect(port);
  if (fd < 0) return count;
  if (send(fd, "?", 1, MSG_NOSIGNAL) != 1) {
    close(fd);
    return count;
  }
  asked[count] = (struct pollfd){.fd = fd, .events = POLLIN};
  return count + 1;
}

// The worker that answers on one of the connections; 0: none. Those that have ended are taken out.
static pid_t answer_of(struct pollfd *asked, int *count) {
  pid_t answer = 0;
  int left = 0;
  for (int i = 0; i < *count; i++) {
    char text[32] = "";
    if (asked[i].revents != 0 && recv(asked[i].fd, text, sizeof(text) - 1, 0) > 0) {
      answer = (pid_t)atoi(text);
    }
    if (asked[i].revents != 0) close(asked[i].fd);
    else asked[left++] = asked[i];
  }
  *count = left;
  return answer;
}

// Asks every few ms until a worker answers that is not `victim`.
static pid_t other_worker(int port, pid_t victim) {
  struct pollfd asked[MOST_ASKED];
  int count = 0;
  pid_t answer = 0;
  for (double next = 0; answer == 0 || answer == victim;) {
    if (now_ms() >= next || count == 0) {
      next = now_ms() + ASK_EVERY_MS;
      count = ask_again(port, asked, count);
    }
    if (count == 0) usleep(RETRY_US);
    poll(asked, (nfds_t)count, count == 0 ? 0 : ASK_EVERY_MS);
    answer = answer_of(asked, &count);
  }
  for (int i = 0; i < count; i++) close(asked[i].fd);
  return answer;
}

static double recover(int port) {
  const pid_t victim = other_worker(port, 0);
  const double begin = now_ms();
  if (kill(victim, SIGKILL) != 0) fail("kill");
  other_worker(port, victim);
  return now_ms() - begin;
}

int main(void) {
  char what[16];
  int port;
  while (scanf("%15s %d", what, &port) == 2) {
    size_t bytes;
    int count, ms;
    if (strcmp(what, "echo") == 0 && scanf("%zu %d %d", &bytes, &count, &ms) == 3) {
      echo(port, bytes, count, ms);
    } else if (strcmp(what, "recover") == 0 && scanf("%d", &count) == 1) {
      for (int i = 0; i < count; i++) {
        printf("%s%.3f", i == 0 ? "[" : ",", recover(port));
        usleep(PAUSE_US);
      }
      printf("]\n");
    } else {
      return 1;
    }
    fflush(stdout);
  }
  return 0;
}

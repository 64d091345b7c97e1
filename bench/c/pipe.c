// The loops of bench/fixtures/pipe/prefork.js in C: the same sockets, buffer sizes and calls.
//   ping-pong|one-way stream|dgram <bytes> <count> sync
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP 200
#define CHUNK 65536
#define SOCKET_BUFFER (1024 * 1024)

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void make_pair(int type, int pair[2]) {
  const int size = SOCKET_BUFFER;
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  for (int i = 0; i < 2; i++) {
    setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(pair[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  }
}

static void send_all(int fd, const char *data, size_t size) {
  for (size_t sent = 0; sent < size;) {
    const ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
    if (n <= 0) fail("send");
    sent += (size_t)n;
  }
}

static void receive_all(int fd, char *room, size_t size, size_t chunk) {
  for (size_t left = size; left > 0;) {
    const ssize_t n = recv(fd, room, left < chunk ? left : chunk, 0);
    if (n <= 0) fail("recv");
    left -= (size_t)n;
  }
}

static void trips(int fd, char *data, char *room, size_t size, int count, int first_sends) {
  for (int i = 0; i < count; i++) {
    if (first_sends) send_all(fd, data, size);
    receive_all(fd, room, size, CHUNK);
    if (!first_sends) send_all(fd, data, size);
  }
}

static double ping_pong(int fd, char *data, char *room, size_t size, int count) {
  trips(fd, data, room, size, WARM_UP, 1);
  const double begin = now_us();
  trips(fd, data, room, size, count, 1);
  return (now_us() - begin) / count;
}

static double one_way(int fd, const char *data, char *room, size_t size, int count) {
  const double begin = now_us();
  for (int i = 0; i < count; i++) send_all(fd, data, size);
  receive_all(fd, room, 1, 1);
  return (double)size * count / (now_us() - begin);
}

int main(void) {
  char what[16], kind[16], way[16];
  size_t size;
  int count;
  while (scanf("%15s %15s %zu %d %15s", what, kind, &size, &count, way) == 5) {
    const int is_ping_pong = strcmp(what, "ping-pong") == 0;
    char *data = malloc(size), *room = malloc(CHUNK);
    memset(data, 1, size);
    int pair[2];
    make_pair(strcmp(kind, "stream") == 0 ? SOCK_STREAM : SOCK_SEQPACKET, pair);
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
      if (is_ping_pong) {
        trips(pair[1], data, room, size, count + WARM_UP, 0);
      } else {
        receive_all(pair[1], room, size * (size_t)count, CHUNK);
        send_all(pair[1], ".", 1);
      }
      _exit(0);
    }
    close(pair[1]);
    const double result = is_ping_pong ? ping_pong(pair[0], data, room, size, count)
                                       : one_way(pair[0], data, room, size, count);
    waitpid(pid, NULL, 0);
    close(pair[0]);
    free(data);
    free(room);
    printf("[%.4f]\n", result);
    fflush(stdout);
  }
  return 0;
}

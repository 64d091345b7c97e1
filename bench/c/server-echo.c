// The least an echo server can cost: two processes with epoll on one listening socket.
//   port   the port it listens on
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 2
#define EVENTS 64
#define ROOM 65536

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static void accept_one(int epoll, int listening) {
  const int on = 1;
  const int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  watch(epoll, fd);
}

static void echo(int fd, char *room) {
  const ssize_t n = recv(fd, room, ROOM, 0);
  if (n <= 0 || send(fd, room, (size_t)n, MSG_NOSIGNAL) != n) close(fd);
}

static void work(int listening) {
  static char room[ROOM];
  struct epoll_event events[EVENTS];
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  watch(epoll, listening);
  for (;;) {
    const int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listening) accept_one(epoll, listening);
      else echo(events[i].data.fd, room);
    }
  }
}

int main(void) {
  char line[16];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof(address);
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listening, (struct sockaddr *)&address, length) != 0) fail("bind");
  if (listen(listening, 511) != 0) fail("listen");
  if (getsockname(listening, (struct sockaddr *)&address, &length) != 0) fail("getsockname");
  for (int i = 0; i < WORKERS; i++) {
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) work(listening);
  }
  while (scanf("%15s", line) == 1) {
    printf("[%d]\n", ntohs(address.sin_port));
    fflush(stdout);
  }
  return 0;
}

// A client of pool-socket.mjs: each argument is sent as a request of its own, each reply is printed.
//
//   cc -o pool-client examples/pool-client.c
//   node examples/pool-socket.mjs serve &
//   ./pool-client PORT TEXT...
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  return fd;
}

static void send_all(int fd, const void *data, size_t size) {
  for (const char *at = data; size > 0;) {
    const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    at += sent;
    size -= (size_t)sent;
  }
}

static void receive_all(int fd, void *data, size_t size) {
  for (char *at = data; size > 0;) {
    const ssize_t received = recv(fd, at, size, 0);
    if (received < 0) fail("recv");
    if (received == 0) {
      fprintf(stderr, "the pool closed the connection without a whole reply\n");
      exit(1);
    }
    at += received;
    size -= (size_t)received;
  }
}

// One request per connection: a frame there, a frame back.
static void request(int port, const char *text) {
  const int fd = connect_to(port);
  const uint32_t length = htonl((uint32_t)strlen(text));
  send_all(fd, &length, sizeof length);
  send_all(fd, text, strlen(text));

  uint32_t header;
  receive_all(fd, &header, sizeof header);
  const size_t size = ntohl(header);
  char *reply = malloc(size + 1);
  if (reply == NULL) fail("malloc");
  receive_all(fd, reply, size);
  reply[size] = '\0';
  printf("%s\n", reply);
  free(reply);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: pool-client PORT TEXT...\n");
    return 1;
  }
  for (int i = 2; i < argc; i++) request(atoi(argv[1]), argv[i]);
  return 0;
}

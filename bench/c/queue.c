// The loop of bench/fixtures/queue/prefork.js in C.
//   <bytes> <count> sync
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// With the kernel's default capacity and message size, which useQueue() takes as well.
static mqd_t open_queue(void) {
  char name[64];
  snprintf(name, sizeof(name), "/prefork-bench.%d", (int)getpid());
  const mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, NULL);
  if (queue < 0) fail("mq_open");
  mq_unlink(name);
  return queue;
}

static void pop_all(mqd_t queue, int signal_fd, int count) {
  struct mq_attr limits;
  mq_getattr(queue, &limits);
  char *room = malloc((size_t)limits.mq_msgsize);
  if (write(signal_fd, "r", 1) != 1) _exit(1);
  for (int i = 0; i < count; i++) {
    if (mq_receive(queue, room, (size_t)limits.mq_msgsize, NULL) < 0) _exit(1);
  }
  _exit(write(signal_fd, "d", 1) == 1 ? 0 : 1);
}

static double one_way(mqd_t queue, const char *data, size_t size, int count) {
  int pair[2];
  char byte;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) pop_all(queue, pair[1], count);
  close(pair[1]);
  if (read(pair[0], &byte, 1) != 1) fail("read");
  const double begin = now_us();
  for (int i = 0; i < count; i++) {
    if (mq_send(queue, data, size, 0) != 0) fail("mq_send");
  }
  if (read(pair[0], &byte, 1) != 1) fail("read");
  const double time = now_us() - begin;
  waitpid(pid, NULL, 0);
  close(pair[0]);
  return time / count;
}

int main(void) {
  char way[16];
  size_t size;
  int count;
  while (scanf("%zu %d %15s", &size, &count, way) == 3) {
    char *data = malloc(size);
    memset(data, 1, size);
    const mqd_t queue = open_queue();
    printf("[%.4f]\n", one_way(queue, data, size, count));
    fflush(stdout);
    mq_close(queue);
    free(data);
  }
  return 0;
}

//go:build ignore

// What every floor has: frames, memory, a socket that listens, and what package contestant
// wants of a server: the line "ready ADDRESS", and an answer to each line of standard
// input, whose end is the server's. A floor includes it before all else.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 16 << 10, FRAME_MAX = 100 << 20 };

struct mem { char *b; size_t cap, have; };

static void die(const char *what) { perror(what); exit(1); }

static int reserve(struct mem *m, size_t n) {
	if (m->cap >= n) return 0;
	size_t cap = m->cap ? m->cap : 4096;
	while (cap < n) cap *= 2;
	char *b = realloc(m->b, cap);
	if (!b) return -1;
	m->b = b;
	m->cap = cap;
	return 0;
}

// whole gives the length of the complete frames at the front; -1: not frames.
static ssize_t whole(const char *b, size_t n) {
	size_t at = 0;
	while (n - at >= 4) {
		uint32_t size;
		memcpy(&size, b + at, 4);
		size = ntohl(size);
		if (size > FRAME_MAX) return -1;
		if (n - at < 4 + (size_t)size) break;
		at += 4 + size;
	}
	return at;
}

// listen_any listens on a free port and says so; flags are the socket's.
static int listen_any(int flags) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); // a port in TIME_WAIT will do, as for Go
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) || listen(fd, 4096)) die("listen");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // accepted sockets inherit it
	getsockname(fd, (struct sockaddr *)&a, &len);
	printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

// answer_stdin answers a line, or ends.
static void answer_stdin(void) {
	char line[64];
	if (read(0, line, sizeof line) <= 0) exit(0);
	puts("null"); // nothing to say of itself
	fflush(stdout);
}

static void raise_open_files(void) {
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l)) return;
	l.rlim_cur = l.rlim_max; // as the Go runtime does
	setrlimit(RLIMIT_NOFILE, &l);
}

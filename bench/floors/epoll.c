//go:build ignore

// A minimal echo of frames with a 4-byte size, on epoll: the floor for servers
// by readiness. One thread, level-triggered, one receive and one send per
// readiness, no general anything.
//
// Small frames are received into one memory that stays in the cache and sent
// from there; only what is left over is kept with the connection. Frames from
// BIG on are received into the connection's own memory, so they are never
// copied. The argument is the payload size to expect.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 16 << 10, SHARED = 256 << 10, FRAME_MAX = 100 << 20, READY = 512 };

struct conn {
	int fd;
	int blocked;     // waits for room to send
	char *buf;       // bytes received and not sent
	size_t cap, have;
};

static char shared[SHARED];
static int epfd;
static size_t own_bytes; // 0: receive small frames into shared

static void die(const char *what) { perror(what); exit(1); }

static void drop(struct conn *c) {
	close(c->fd);
	free(c->buf);
	free(c);
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

static int reserve(struct conn *c, size_t n) {
	if (c->cap >= n) return 0;
	size_t cap = c->cap ? c->cap : 4096;
	while (cap < n) cap *= 2;
	char *b = realloc(c->buf, cap);
	if (!b) return -1;
	c->buf = b;
	c->cap = cap;
	return 0;
}

static void watch(struct conn *c, int blocked) {
	if (c->blocked == blocked) return;
	c->blocked = blocked;
	struct epoll_event ev = {.events = blocked ? EPOLLOUT : EPOLLIN, .data.ptr = c};
	if (epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev)) die("epoll_ctl");
}

// answer sends the whole frames of b and keeps the rest; -1: the end.
static int answer(struct conn *c, const char *b, size_t n) {
	ssize_t ready = whole(b, n), sent = 0;
	if (ready < 0) return -1;
	if (ready > 0) {
		sent = send(c->fd, b, ready, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR) return -1;
			sent = 0;
		}
	}
	size_t rest = n - sent;
	if (rest > 0) {
		if (b != c->buf && reserve(c, rest)) return -1;
		memmove(c->buf, b + sent, rest);
	}
	c->have = rest;
	watch(c, sent < ready);
	return 0;
}

static int serve(struct conn *c) {
	if (c->blocked) return answer(c, c->buf, c->have);
	if (c->have == 0 && own_bytes == 0) {
		ssize_t n = recv(c->fd, shared, SHARED, MSG_DONTWAIT);
		if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
		return n == 0 ? -1 : answer(c, shared, n);
	}
	size_t want = own_bytes ? own_bytes : 4096;
	if (c->have >= 4) {
		uint32_t size;
		memcpy(&size, c->buf, 4);
		want = 4 + (size_t)ntohl(size);
	}
	if (want < c->have + 4096) want = c->have + 4096;
	if (own_bytes && want < own_bytes) want = own_bytes;
	if (reserve(c, want)) return -1;
	ssize_t n = recv(c->fd, c->buf + c->have, c->cap - c->have, MSG_DONTWAIT);
	if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
	return n == 0 ? -1 : answer(c, c->buf, c->have + n);
}

static int listen_any(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
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

static void adopt(int lfd) {
	int fd;
	while ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		if (!c) die("calloc");
		c->fd = fd;
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev)) die("epoll_ctl");
	}
}

static void raise_open_files(void) {
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l)) return;
	l.rlim_cur = l.rlim_max; // as the Go runtime does
	setrlimit(RLIMIT_NOFILE, &l);
}

int main(int argc, char **argv) {
	raise_open_files();
	size_t frame = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (frame >= BIG) own_bytes = 4 + frame;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	int lfd = listen_any();
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &lfd};
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, lfd, &ev)) die("epoll");
	ev.data.ptr = &epfd; // stands for standard input, whose end is ours
	epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &ev);
	static struct epoll_event ready[READY];
	for (;;) {
		int n = epoll_wait(epfd, ready, READY, -1);
		for (int i = 0; i < n; i++) {
			void *p = ready[i].data.ptr;
			if (p == &lfd) {
				adopt(lfd);
			} else if (p == &epfd) {
				char line[64];
				if (read(0, line, sizeof line) <= 0) return 0;
				puts("null"); // nothing to say of itself
				fflush(stdout);
			} else if (serve(p) < 0) {
				drop(p);
			}
		}
	}
}

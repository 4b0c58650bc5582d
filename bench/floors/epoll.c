//go:build ignore

// A minimal echo of frames with a 4-byte size, on epoll: the floor for servers
// by readiness. One thread, level-triggered, one receive and one send per
// readiness, no general anything.
//
// Small frames are received into one memory that stays in the cache and sent
// from there; only what is left over is kept with the connection. Frames from
// BIG on are received into the connection's own memory, so they are never
// copied. The argument is the payload size to expect.

#include "floor.h"
#include "readiness.h"

enum { SHARED = 256 << 10 };

struct conn {
	int fd;
	int blocked;   // waits for room to send
	struct mem in; // bytes received and not sent
};

static char shared[SHARED];
static size_t own_bytes; // 0: receive small frames into shared

static void drop(struct conn *c) {
	close(c->fd);
	free(c->in.b);
	free(c);
}

static void wait_for_room(struct conn *c, int blocked) {
	if (c->blocked == blocked) return;
	c->blocked = blocked;
	watch(EPOLL_CTL_MOD, c->fd, blocked ? EPOLLOUT : EPOLLIN, c);
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
		if (b != c->in.b && reserve(&c->in, rest)) return -1;
		memmove(c->in.b, b + sent, rest);
	}
	c->in.have = rest;
	wait_for_room(c, sent < ready);
	return 0;
}

static int serve(struct conn *c) {
	if (c->blocked) return answer(c, c->in.b, c->in.have);
	if (c->in.have == 0 && own_bytes == 0) {
		ssize_t n = recv(c->fd, shared, SHARED, MSG_DONTWAIT);
		if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
		return n == 0 ? -1 : answer(c, shared, n);
	}
	size_t want = own_bytes ? own_bytes : 4096;
	if (c->in.have >= 4) {
		uint32_t size;
		memcpy(&size, c->in.b, 4);
		want = 4 + (size_t)ntohl(size);
	}
	if (want < c->in.have + 4096) want = c->in.have + 4096;
	if (own_bytes && want < own_bytes) want = own_bytes;
	if (reserve(&c->in, want)) return -1;
	ssize_t n = recv(c->fd, c->in.b + c->in.have, c->in.cap - c->in.have, MSG_DONTWAIT);
	if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
	return n == 0 ? -1 : answer(c, c->in.b, c->in.have + n);
}

static void adopt(int lfd) {
	int fd;
	while ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		if (!c) die("calloc");
		c->fd = fd;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

int main(int argc, char **argv) {
	raise_open_files();
	size_t frame = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (frame >= BIG) own_bytes = 4 + frame;
	run();
}

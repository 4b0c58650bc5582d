//go:build ignore

// A minimal echo of frames with a 4-byte size, on io_uring without a library:
// the floor for servers by completion. One thread, SINGLE_ISSUER and
// DEFER_TASKRUN, multishot accept, one send in flight per connection.
//
// Small frames: multishot receive from a buffer ring of 2 MiB, a window that
// stays in the cache; what came is gathered with the connection and sent
// together after each batch of completions. Frames from BIG on are received
// straight into the connection's memory and sent from there, never copied. The
// argument is the payload size to expect.

#include "floor.h"
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SQ = 4096, CQ = 32768, BUFS = 1024, BUF_BYTES = 2048 };
enum { ACCEPT = 1, RECV, SEND, STDIN };

struct conn {
	int fd;
	int receiving, ending, dirty;
	size_t sending;      // bytes of out in flight, 0: none
	struct mem out, in;  // out is the kernel's while sending
};

static struct conn **conns;
static unsigned conns_cap;
static unsigned *dirty, dirty_n;
static size_t own_bytes; // 0: small frames

// ---- the ring

static int ring;
static unsigned *sq_head, *sq_tail, *cq_head, *cq_tail, sq_mask, cq_mask, sq_local, sq_sent;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;
static struct io_uring_buf_ring *bufs;
static char *buf_memory;
static unsigned short buf_tail;

static void *map(size_t n, off_t at) {
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, at);
	if (p == MAP_FAILED) die("mmap");
	return p;
}

static void open_ring(void) {
	struct io_uring_params p = {.cq_entries = CQ};
	p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	ring = syscall(SYS_io_uring_setup, SQ, &p);
	if (ring < 0) die("io_uring_setup (6.1 or later, not forbidden by seccomp or kernel.io_uring_disabled)");
	char *sq = map(p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
	char *cq = map(p.cq_off.cqes + p.cq_entries * sizeof *cqes, IORING_OFF_CQ_RING);
	sqes = map(p.sq_entries * sizeof *sqes, IORING_OFF_SQES);
	sq_head = (unsigned *)(sq + p.sq_off.head);
	sq_tail = (unsigned *)(sq + p.sq_off.tail);
	sq_mask = p.sq_entries - 1;
	for (unsigned i = 0; i < p.sq_entries; i++) ((unsigned *)(sq + p.sq_off.array))[i] = i;
	cq_head = (unsigned *)(cq + p.cq_off.head);
	cq_tail = (unsigned *)(cq + p.cq_off.tail);
	cq_mask = p.cq_entries - 1;
	cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

static void put_buf(unsigned short bid) {
	struct io_uring_buf *b = &bufs->bufs[buf_tail++ & (BUFS - 1)];
	b->addr = (uint64_t)(uintptr_t)(buf_memory + (size_t)bid * BUF_BYTES);
	b->len = BUF_BYTES;
	b->bid = bid;
}

static void open_bufs(void) {
	size_t n = BUFS * sizeof(struct io_uring_buf);
	bufs = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	buf_memory = mmap(NULL, BUFS * BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bufs == MAP_FAILED || buf_memory == MAP_FAILED) die("mmap");
	struct io_uring_buf_reg r = {.ring_addr = (uint64_t)(uintptr_t)bufs, .ring_entries = BUFS};
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_PBUF_RING, &r, 1)) die("buffer ring");
	for (unsigned i = 0; i < BUFS; i++) put_buf(i);
	__atomic_store_n(&bufs->tail, buf_tail, __ATOMIC_RELEASE);
}

static void enter(unsigned wait) {
	__atomic_store_n(sq_tail, sq_local, __ATOMIC_RELEASE);
	int n = syscall(SYS_io_uring_enter, ring, sq_local - sq_sent, wait, IORING_ENTER_GETEVENTS, NULL, 0);
	if (n >= 0) sq_sent += n;
	else if (errno != EINTR && errno != EAGAIN && errno != EBUSY) die("io_uring_enter");
}

static struct io_uring_sqe *sqe(int op, int fd, unsigned kind, unsigned slot) {
	while (sq_local - __atomic_load_n(sq_head, __ATOMIC_ACQUIRE) > sq_mask) enter(0);
	struct io_uring_sqe *s = &sqes[sq_local++ & sq_mask];
	memset(s, 0, sizeof *s);
	s->opcode = op;
	s->fd = fd;
	s->user_data = (uint64_t)kind << 32 | slot;
	return s;
}

// ---- connections

static void arm_recv(unsigned slot) {
	struct conn *c = conns[slot];
	c->receiving = 1;
	struct io_uring_sqe *s = sqe(IORING_OP_RECV, c->fd, RECV, slot);
	if (own_bytes) {
		s->addr = (uint64_t)(uintptr_t)c->out.b;
		s->len = own_bytes;
		s->msg_flags = MSG_WAITALL;
	} else {
		s->ioprio = IORING_RECV_MULTISHOT;
		s->flags = IOSQE_BUFFER_SELECT;
	}
}

static void arm_send(unsigned slot, size_t from, size_t n) {
	struct conn *c = conns[slot];
	c->sending = n;
	struct io_uring_sqe *s = sqe(IORING_OP_SEND, c->fd, SEND, slot);
	s->addr = (uint64_t)(uintptr_t)(c->out.b + from);
	s->len = n;
	s->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
}

static void release(unsigned slot) {
	struct conn *c = conns[slot];
	if (c->receiving || c->sending || c->dirty) return;
	close(c->fd);
	free(c->out.b);
	free(c->in.b);
	free(c);
	conns[slot] = NULL;
}

// end closes a connection when nothing of it is in flight any more.
static void end(unsigned slot) {
	struct conn *c = conns[slot];
	if (!c->ending) {
		c->ending = 1;
		shutdown(c->fd, SHUT_RDWR);
	}
	release(slot);
}

// flush sends the whole frames that were gathered, if nothing is in flight.
static void flush(unsigned slot) {
	struct conn *c = conns[slot];
	if (c->ending) { release(slot); return; }
	if (c->sending || c->in.have == 0) return;
	ssize_t n = whole(c->in.b, c->in.have);
	if (n < 0) { end(slot); return; }
	if (n == 0) return;
	struct mem m = c->out;
	c->out = c->in;
	c->in = m;
	size_t rest = c->out.have - n;
	c->in.have = 0;
	if (rest) {
		if (reserve(&c->in, rest)) die("memory");
		memcpy(c->in.b, c->out.b + n, rest);
		c->in.have = rest;
	}
	c->out.have = n;
	arm_send(slot, 0, n);
}

static void on_accept(const struct io_uring_cqe *e, int lfd) {
	if (!(e->flags & IORING_CQE_F_MORE)) {
		struct io_uring_sqe *s = sqe(IORING_OP_ACCEPT, lfd, ACCEPT, 0);
		s->ioprio = IORING_ACCEPT_MULTISHOT;
		s->accept_flags = SOCK_CLOEXEC;
	}
	if (e->res < 0) return;
	unsigned slot = e->res; // the descriptor is as good an index as any
	if (slot >= conns_cap) {
		unsigned cap = conns_cap ? conns_cap : 1024;
		while (cap <= slot) cap *= 2;
		conns = realloc(conns, cap * sizeof *conns);
		dirty = realloc(dirty, cap * sizeof *dirty);
		if (!conns || !dirty) die("memory");
		memset(conns + conns_cap, 0, (cap - conns_cap) * sizeof *conns);
		conns_cap = cap;
	}
	struct conn *c = conns[slot] = calloc(1, sizeof *c);
	if (!c || (own_bytes && reserve(&c->out, own_bytes))) die("memory");
	c->fd = e->res;
	arm_recv(slot);
}

static void touch(unsigned slot) {
	if (conns[slot]->dirty) return;
	conns[slot]->dirty = 1;
	dirty[dirty_n++] = slot;
}

static void on_recv(const struct io_uring_cqe *e, unsigned slot) {
	struct conn *c = conns[slot];
	if (!(e->flags & IORING_CQE_F_MORE)) c->receiving = 0;
	if (own_bytes) {
		uint32_t size;
		if (e->res == (int)own_bytes) {
			memcpy(&size, c->out.b, 4);
			if (ntohl(size) + 4 == own_bytes) { arm_send(slot, 0, own_bytes); return; }
		}
		end(slot);
		return;
	}
	if (e->flags & IORING_CQE_F_BUFFER) {
		unsigned short bid = e->flags >> IORING_CQE_BUFFER_SHIFT;
		if (e->res > 0) {
			if (reserve(&c->in, c->in.have + e->res)) die("memory");
			memcpy(c->in.b + c->in.have, buf_memory + (size_t)bid * BUF_BYTES, e->res);
			c->in.have += e->res;
		}
		put_buf(bid);
	}
	if (e->res <= 0 && e->res != -ENOBUFS) { end(slot); return; }
	if (!c->receiving && !c->ending) arm_recv(slot);
	touch(slot);
}

static void on_send(const struct io_uring_cqe *e, unsigned slot) {
	struct conn *c = conns[slot];
	size_t n = c->sending;
	c->sending = 0;
	if (e->res < 0 || c->ending) { end(slot); return; }
	if ((size_t)e->res < n) {
		size_t all = own_bytes ? own_bytes : c->out.have;
		arm_send(slot, all - n + e->res, n - e->res);
		return;
	}
	if (own_bytes) arm_recv(slot);
	else touch(slot);
}

static void watch_stdin(void) {
	struct io_uring_sqe *s = sqe(IORING_OP_POLL_ADD, 0, STDIN, 0);
	s->poll32_events = POLLIN | POLLHUP;
}

static void on_stdin(void) {
	answer_stdin();
	watch_stdin();
}

int main(int argc, char **argv) {
	raise_open_files();
	size_t frame = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (frame >= BIG) own_bytes = 4 + frame;
	open_ring();
	open_bufs();
	int lfd = listen_any(0);
	struct io_uring_cqe none = {.res = -1};
	on_accept(&none, lfd);
	watch_stdin();
	for (;;) {
		enter(1);
		unsigned head = *cq_head, tail = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++) {
			const struct io_uring_cqe *e = &cqes[head & cq_mask];
			unsigned slot = (unsigned)e->user_data;
			switch (e->user_data >> 32) {
			case ACCEPT: on_accept(e, lfd); break;
			case RECV: on_recv(e, slot); break;
			case SEND: on_send(e, slot); break;
			case STDIN: on_stdin(); break;
			}
		}
		__atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
		__atomic_store_n(&bufs->tail, buf_tail, __ATOMIC_RELEASE);
		for (unsigned i = 0; i < dirty_n; i++) {
			conns[dirty[i]]->dirty = 0;
			flush(dirty[i]);
		}
		dirty_n = 0;
	}
}

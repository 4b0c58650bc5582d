//go:build ignore

// The loop of the floors on epoll, level-triggered. A floor includes it behind floor.h, and
// has the three functions.

#include <sys/epoll.h>

enum { READY = 512 };

struct conn;
static void adopt(int lfd);         // accepts all that wait
static int serve(struct conn *c);   // one that is ready; -1: the end
static void drop(struct conn *c);

static int epfd;

// watch has epoll tell of a descriptor: op is EPOLL_CTL_ADD or EPOLL_CTL_MOD.
static void watch(int op, int fd, unsigned events, void *of) {
	struct epoll_event ev = {.events = events, .data.ptr = of};
	if (epoll_ctl(epfd, op, fd, &ev)) die("epoll_ctl");
}

static void run(void) {
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0) die("epoll_create1");
	int lfd = listen_any(SOCK_NONBLOCK);
	watch(EPOLL_CTL_ADD, lfd, EPOLLIN, &lfd);
	struct epoll_event in = {.events = EPOLLIN, .data.ptr = &epfd};
	epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &in); // not if it is a file
	static struct epoll_event ready[READY];
	for (;;) {
		int n = epoll_wait(epfd, ready, READY, -1);
		for (int i = 0; i < n; i++) {
			void *p = ready[i].data.ptr;
			if (p == &lfd) adopt(lfd);
			else if (p == &epfd) answer_stdin();
			else if (serve(p) < 0) drop(p);
		}
	}
}

//go:build ignore

// A minimal echo of frames with a 4-byte size behind TLS, by OpenSSL on epoll: the
// floor for TLS by readiness. One thread, level-triggered, no general anything.
//
// OpenSSL reads ahead, as much as there is, and opens records into one memory that
// stays in the cache; frames from BIG on into the connection's own. All whole frames of a
// turn are answered by records of up to 16 KiB that leave with one send. The arguments are the payload
// size to expect, and the PEM files of the certificate and its key.

#include "floor.h"
#include "readiness.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { SHARED = 256 << 10, AHEAD = 128 << 10 };

struct conn {
	int fd;
	int blocked;   // waits for room to send
	SSL *ssl;
	struct mem in; // bytes opened and not answered
	char *unsent;
	size_t unsent_len;
};

static char shared[SHARED];
static int big;
static size_t frame;
static SSL_CTX *ctx;
static BIO_METHOD *into_out;
static char *out;
static size_t out_len, out_cap;

// die_ssl ends with what OpenSSL says of it.
static void die_ssl(const char *what) {
	ERR_print_errors_fp(stderr);
	die(what);
}

static void drop(struct conn *c) {
	SSL_free(c->ssl);
	close(c->fd);
	free(c->in.b);
	free(c->unsent);
	free(c);
}

// OpenSSL writes records into out, which leaves with one send when a connection's turn is over.
static int out_write(BIO *b, const char *data, int n) {
	(void)b;
	if (out_len + n > out_cap) {
		while (out_len + n > out_cap) out_cap = out_cap ? 2 * out_cap : SHARED;
		if (!(out = realloc(out, out_cap))) die("realloc");
	}
	memcpy(out + out_len, data, n);
	out_len += n;
	return n;
}

static long out_ctrl(BIO *b, int cmd, long n, void *p) {
	(void)b, (void)n, (void)p;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

// give sends b and keeps what there is no room for; -1: the end.
static int give(struct conn *c, const char *b, size_t n) {
	ssize_t sent = send(c->fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR) return -1;
		sent = 0;
	}
	size_t rest = n - sent;
	if (rest > 0) {
		char *kept = malloc(rest);
		if (!kept) return -1;
		memcpy(kept, b + sent, rest);
		c->unsent = kept;
	}
	c->unsent_len = rest;
	if (c->blocked != (rest > 0)) {
		c->blocked = rest > 0;
		watch(EPOLL_CTL_MOD, c->fd, c->blocked ? EPOLLOUT : EPOLLIN, c);
	}
	return 0;
}

// serve opens what is there, and answers the whole frames of it; -1: the end.
static int serve(struct conn *c) {
	if (c->unsent_len) {
		char *b = c->unsent;
		c->unsent = NULL;
		int r = give(c, b, c->unsent_len);
		free(b);
		if (r || c->unsent_len || !SSL_has_pending(c->ssl)) return r;
	}
	char *b = shared;
	size_t have = 0, cap = SHARED;
	if (big || c->in.have) {
		if (reserve(&c->in, c->in.have + 4 + (big ? frame : 0) + BIG)) return -1;
		b = c->in.b, have = c->in.have, cap = c->in.cap;
	}
	out_len = 0;
	int over = 0;
	do {
		int n = SSL_read(c->ssl, b + have, cap - have);
		if (n <= 0) {
			over = SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ;
			ERR_clear_error();
			break;
		}
		have += n;
	} while (have < cap && SSL_has_pending(c->ssl));
	ssize_t ready = whole(b, have);
	if (ready < 0 || (ready > 0 && SSL_write(c->ssl, b, ready) != ready)) return -1;
	size_t rest = have - ready;
	if (rest > 0 && b != c->in.b && reserve(&c->in, rest)) return -1;
	if (rest > 0 && b + ready != c->in.b) memmove(c->in.b, b + ready, rest);
	c->in.have = rest;
	if (out_len && give(c, out, out_len)) return -1;
	if (over) return -1;
	// What OpenSSL has read ahead is no matter for epoll.
	return c->unsent_len == 0 && SSL_has_pending(c->ssl) && have == cap ? serve(c) : 0;
}

static void adopt(int lfd) {
	int fd;
	while ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		if (!c || !(c->ssl = SSL_new(ctx))) die_ssl("SSL_new");
		c->fd = fd;
		SSL_set_accept_state(c->ssl);
		BIO *to = BIO_new(into_out);
		if (!to) die_ssl("BIO_new");
		BIO_set_init(to, 1);
		SSL_set_bio(c->ssl, BIO_new_socket(fd, BIO_NOCLOSE), to);
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

static void certify(const char *cert, const char *key) {
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) die_ssl("SSL_CTX_new");
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) die_ssl(cert);
	if (!(into_out = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "out"))) die_ssl("BIO_meth_new");
	BIO_meth_set_write(into_out, out_write);
	BIO_meth_set_ctrl(into_out, out_ctrl);
	SSL_CTX_set_num_tickets(ctx, 1); // as crypto/tls
	SSL_CTX_set_read_ahead(ctx, 1);
	if (big) SSL_CTX_set_default_read_buffer_len(ctx, AHEAD);
}

int main(int argc, char **argv) {
	if (argc < 4) {
		fprintf(stderr, "usage: %s BYTES CERT KEY\n", argv[0]);
		return 2;
	}
	raise_open_files();
	frame = strtoul(argv[1], NULL, 10);
	big = frame >= BIG;
	certify(argv[2], argv[3]);
	run();
}

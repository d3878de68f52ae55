#ifndef C_LIBSSH2_SHIM_H
#define C_LIBSSH2_SHIM_H
#include <libssh2.h>

/* Typed callback setters: libssh2_session_callback_set takes void *, which
   Swift can only reach through unsafeBitCast. */
typedef ssize_t (*cssh2_recv_fn)(libssh2_socket_t, void *, size_t, int, void **);
typedef ssize_t (*cssh2_send_fn)(libssh2_socket_t, const void *, size_t, int, void **);
typedef void (*cssh2_disconnect_fn)(LIBSSH2_SESSION *, int, const char *, int, const char *, int, void **);
static inline void cssh2_set_io(LIBSSH2_SESSION *s, cssh2_recv_fn r, cssh2_send_fn w, cssh2_disconnect_fn d) {
    libssh2_session_callback_set(s, LIBSSH2_CALLBACK_RECV, (void *)r);
    libssh2_session_callback_set(s, LIBSSH2_CALLBACK_SEND, (void *)w);
    libssh2_session_callback_set(s, LIBSSH2_CALLBACK_DISCONNECT, (void *)d);
}
#endif

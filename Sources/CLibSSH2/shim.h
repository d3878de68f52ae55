#ifndef C_LIBSSH2_SHIM_H
#define C_LIBSSH2_SHIM_H
#include <libssh2.h>
#include <libssh2_sftp.h>
#include <libssh2_publickey.h>

/* Typed callback setters: libssh2_session_callback_set takes void *, which
   Swift can only reach through unsafeBitCast. */
typedef ssize_t (*cssh2_recv_fn)(libssh2_socket_t, void *, size_t, int, void **);
typedef ssize_t (*cssh2_send_fn)(libssh2_socket_t, const void *, size_t, int, void **);
static inline void cssh2_set_io(LIBSSH2_SESSION *s, cssh2_recv_fn r, cssh2_send_fn w) {
    libssh2_session_callback_set(s, LIBSSH2_CALLBACK_RECV, (void *)r);
    libssh2_session_callback_set(s, LIBSSH2_CALLBACK_SEND, (void *)w);
}
/* Swift does not import a three-term constant expression. */
static const unsigned int cssh2_channel_window_default = LIBSSH2_CHANNEL_WINDOW_DEFAULT;
#endif

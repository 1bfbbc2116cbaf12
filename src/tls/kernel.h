/* tls/kernel.h -- records sealed by the kernel (kTLS): plain bytes go to the socket.
 *
 * That saves writing what is sealed to memory and copying it from there into the socket. Only
 * sending: what is received has often been read beside a handshake's end already, and would have to
 * be opened here all the same.
 *
 * A key may seal only so many records, and a peer may ask for another one (RFC 8446, 4.6.3, 5.5).
 * So only a kernel that takes other keys later will do: Linux from 6.14 on. The kernel frames by
 * itself, in records of 16 KiB or what is left of a send.
 * Source: Documentation/networking/tls.rst and net/tls of Linux. */
#ifndef PP_TLS_KERNEL_H
#define PP_TLS_KERNEL_H

#include "base/str.h"
#include "tls/records.h"

#include <stdbool.h>
#include <sys/types.h>

/* A suite's bit among those that the kernel has; 0: it could not have it. */
unsigned pp_tls_kernel_bit(unsigned suite);

/* By which suites does the kernel seal, and take other keys later? Tried on sockets of its own. May
 * have the kernel load modules, so that connections need not wait for that. Takes a fifth of a
 * second at most, a millisecond as a rule. Thread: who starts and reloads. */
unsigned pp_tls_kernel_suites(void);

/* Have the kernel seal what fd sends from now on, with keys, beginning with the record that would
 * be next. False: it does not, and nothing has changed. */
bool pp_tls_kernel_begin(int fd, unsigned suite, const pp_tls_keys *keys);

/* Go on with other keys. False: it does not, and nothing must be sent any more. */
bool pp_tls_kernel_change_keys(int fd, unsigned suite, const pp_tls_keys *keys);

/* Send a record of another kind than data, as sendmsg: all of it or nothing. */
ssize_t pp_tls_kernel_say(int fd, pp_tls_kind kind, pp_str bytes);

/* Is there room to send at once what has been taken? While the socket's buffer is full a record
 * waits in the kernel beside it, and is lost if the socket is shut. False: errno is EAGAIN. */
bool pp_tls_kernel_has_room(int fd);

#endif

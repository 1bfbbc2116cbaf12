/* Between the end of a handshake and the first byte for above: those who have signed the peer's
 * certificates are asked what they think of them now (tls/inquirer.h), if the context has it so.
 *
 * Until that is known nothing is read, and nothing is sent but the handshake's own last words. The
 * layer counts among the handshakes under way, and the door's time for those runs on. */
#include "net/socket.h"
#include "tls/inside.h"

enum { BAD_CERTIFICATE = 42, FATAL = 2 }; /* of an alert */

static void let_in(pp_tls_layer *t)
{
    (void)pthread_mutex_lock(&t->layer.lock);
    pp_tls_carry(t);
    (void)pthread_mutex_unlock(&t->layer.lock);
}

/* With TLS 1.2 there is no way to say so. */
static void turn_away(pp_tls_layer *t, const char *why)
{
    pp_tls_leave_underway(t);
    (void)pthread_mutex_lock(&t->layer.lock);
    if (t->records)
        pp_tls_tell(t, FATAL, BAD_CERTIFICATE);
    (void)pp_tls_fail(t, why);
    (void)pthread_mutex_unlock(&t->layer.lock);
}

/* A reload may have pinned other keys meanwhile. */
static void obey(pp_tls_layer *t, const char *refused)
{
    if (refused)
        turn_away(t, refused);
    else if (!pp_tls_is_pinned(t, t->peer))
        turn_away(t, pp_tls_not_pinned);
    else
        let_in(t);
}

/* On the connection's loop, if it is still there. */
static void on_answer(pp_task *task)
{
    pp_tls_inquiry *inquiry = PP_CONTAINER(task, pp_tls_inquiry, task);
    pp_conn *conn = pp_conn_find(inquiry->loop, inquiry->conn_id);
    pp_layer *layer = conn ? pp_tls_layer_of(conn) : NULL;

    if (layer && pp_tls_of(layer)->inquiry == inquiry && !conn->closing) {
        pp_tls_of(layer)->answered = true;
        conn->readable = true;
        pp_conn_start_reading(conn);
    }
    pp_tls_inquiry_unref(inquiry);
}

static void submit(pp_tls_layer *t, pp_tls_inquiry *inquiry)
{
    pp_conn *conn = t->layer.conn;

    t->inquiry = pp_tls_inquiry_ref(inquiry);
    inquiry->task.run = on_answer;
    inquiry->loop = conn->loop;
    inquiry->conn_id = conn->id;
    pp_conn_stop_reading(conn);
    pp_tls_context_submit(pp_tls_in_force(t), inquiry);
}

void pp_tls_begin_vetting(pp_tls_layer *t)
{
    pp_tls_inquiry *inquiry;
    pipit_err err;

    /* As a ticket would, of which there is none here (pp_tls_carry). */
    pp_socket_acknowledge(t->layer.conn);
    err = pp_tls_context_inquire(pp_tls_in_force(t), t->chain, &inquiry);
    if (err == PIPIT_EAGAIN) {
        submit(t, inquiry);
    } else if (err) {
        turn_away(t, "out of memory");
    } else {
        obey(t, inquiry->refused);
        pp_tls_inquiry_unref(inquiry);
    }
}

bool pp_tls_is_vetting(pp_tls_layer *t)
{
    pp_tls_inquiry *inquiry = t->inquiry;

    if (!inquiry)
        return false;
    if (!t->answered)
        return true;
    t->inquiry = NULL;
    obey(t, inquiry->refused);
    pp_tls_inquiry_unref(inquiry);
    return false;
}

void pp_tls_abandon_vetting(pp_tls_layer *t)
{
    if (!t->inquiry)
        return;
    pp_tls_inquirer_abandon(t->inquiry->inquirer, t->inquiry);
    pp_tls_inquiry_unref(t->inquiry);
    t->inquiry = NULL;
}

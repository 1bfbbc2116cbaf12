/* Driving: who does it, and its turns. What is done in a turn is in connection.c, exchange.c and,
 * over memory, arrivals.c. */
#include "client/driver.h"

#include "base/clock.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- who drives --------------------------------------------------------------------------- */

bool pp_client_take_wheel_locked(pipit_client *client)
{
    if (client->driven)
        return false;
    client->driven = true;
    client->driver = pthread_self();
    return true;
}

void pp_client_leave_wheel_locked(pipit_client *client)
{
    client->driven = false;
    if (client->waiting)
        (void)pthread_cond_broadcast(&client->changed); /* one of them may go on */
}

bool pp_client_in_callback_locked(const pipit_client *client)
{
    return client->driven && pthread_equal(client->driver, pthread_self());
}

void pp_client_wake_locked(pipit_client *client)
{
    uint64_t one = 1;

    client->woken = true;
    if (!client->asleep)
        return;
    client->asleep = false;
    (void)!write(client->wake_fd, &one, sizeof(one)); /* full: it is readable anyway */
}

pipit_err pp_client_wait_locked(pipit_client *client, pthread_cond_t *cond, int64_t deadline_ns)
{
    const int64_t slice_ns = 10 * PP_NS_PER_MS; /* who drives may stop without a word */
    int64_t now = pp_clock_mono_ns(), until = deadline_ns;

    if (now >= deadline_ns)
        return PIPIT_ETIMEOUT;
    if (client->own_loop && !client->ended && pp_client_take_wheel_locked(client)) {
        (void)pthread_mutex_unlock(&client->lock);
        (void)pp_client_turn(client, deadline_ns == INT64_MAX ? -1 : deadline_ns - now);
        pp_client_watch_for_work(client);
        (void)pthread_mutex_lock(&client->lock);
        pp_client_leave_wheel_locked(client);
        return PIPIT_OK;
    }
    if (client->own_loop && until > now + slice_ns)
        until = now + slice_ns;
    client->waiting++;
    if (until == INT64_MAX) {
        (void)pthread_cond_wait(cond, &client->lock);
    } else {
        struct timespec at = {until / PP_NS_PER_S, until % PP_NS_PER_S};

        (void)pthread_cond_timedwait(cond, &client->lock, &at);
    }
    client->waiting--;
    return PIPIT_OK;
}

void pp_client_emit(pipit_client *client, pipit_event event, const char *text)
{
    if (client->on_event)
        client->on_event(client->event_context, client, event, text);
}

/* --- turns -------------------------------------------------------------------------------- */

static void drain_on(pipit_client *client, int64_t now_ns)
{
    bool over = false;

    (void)pthread_mutex_lock(&client->lock);
    if (client->draining) {
        over = now_ns >= client->drain_deadline_ns;
        if (!over && client->flushed >= client->drain_mark) {
            /* Everything has been heard; what that has caused to be published follows. */
            over = client->drain_step++ > 0;
            client->drain_mark = ++client->flushes_asked;
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (over)
        pp_client_finish(client, PIPIT_OK);
}

static void tick(pipit_client *client, int64_t now_ns)
{
    pipit_err err = PIPIT_OK;

    if (client->wire.fd >= 0 && client->wire.wants_step && now_ns >= client->attempt_deadline_ns) {
        (void)pp_wire_fail(&client->wire, PIPIT_ETIMEOUT, "%s: no connection in time",
                           client->server_entry->remote->host);
        err = PIPIT_ETIMEOUT;
    } else if (client->wire.fd >= 0 && client->dialog.state != PP_DIALOG_ENDED) {
        err = pp_dialog_tick(&client->dialog, now_ns);
    }
    if (err)
        pp_client_lose(client, err);
    while (!client->ended && pp_client_late_request(client, now_ns))
        ;
}

static void work(pipit_client *client)
{
    int64_t now_ns = pp_clock_mono_ns();

    if (atomic_load(&client->closing)) {
        pp_client_finish(client, PIPIT_OK);
        return;
    }
    tick(client, now_ns);
    if (!client->ended)
        drain_on(client, now_ns);
    if (client->ended)
        return;
    if (client->server) {
        pp_client_take_in(client);
        return;
    }
    if (client->wire.fd < 0 && now_ns >= client->retry_ns)
        pp_client_open_next(client, now_ns);
    if (!client->ended)
        pp_client_send_out(client);
}

static int64_t next_deadline_locked(const pipit_client *client)
{
    int64_t next = pp_timers_next_ns(&client->timers);

    if (client->draining && client->drain_deadline_ns < next)
        next = client->drain_deadline_ns;
    if (client->server)
        return next;
    if (client->wire.fd < 0)
        return client->retry_ns < next ? client->retry_ns : next;
    if (client->wire.wants_step && client->attempt_deadline_ns < next)
        next = client->attempt_deadline_ns;
    return client->dialog.deadline_ns < next ? client->dialog.deadline_ns : next;
}

/* Is there nothing to do until a descriptor says so or *out_next comes? If so, whoever leaves work
 * wakes the driver from here on. */
static bool fall_asleep(pipit_client *client, int64_t *out_next)
{
    bool idle;

    (void)pthread_mutex_lock(&client->lock);
    idle = !client->woken && !client->more && !atomic_load(&client->closing);
    if (idle && client->state == PIPIT_CLIENT_CONNECTED && !client->wire.wants_room)
        idle = !client->staged.len && !client->dialog.out.len;
    client->woken = false;
    client->asleep = idle;
    *out_next = next_deadline_locked(client);
    if (client->server && client->flushes_asked != client->flushed &&
        *out_next > pp_clock_mono_ns() + PP_NS_PER_MS)
        *out_next = pp_clock_mono_ns() + PP_NS_PER_MS; /* what loops have still to route */
    (void)pthread_mutex_unlock(&client->lock);
    if (idle && client->port && !pp_port_sleep(client->port))
        idle = false;
    return idle;
}

static void wake_up(pipit_client *client)
{
    if (client->port)
        pp_port_awake(client->port);
    (void)pthread_mutex_lock(&client->lock);
    client->asleep = false;
    (void)pthread_mutex_unlock(&client->lock);
}

static void drain_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count)); /* not blocking; only to be silent again */
}

static void on_descriptors(pipit_client *client, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;

        if (fd == client->wake_fd || fd == client->timer_fd)
            drain_counter(fd);
        else if (fd == client->wire.fd && client->wire.wants_step)
            pp_client_go_on_connecting(client);
        else if (fd == client->wire.fd && events[i].events & ~(uint32_t)EPOLLOUT)
            client->more = true;
    }
}

static int wait_ms(int64_t timeout_ns, int64_t next_ns)
{
    int64_t until_next = next_ns == INT64_MAX ? -1 : next_ns - pp_clock_mono_ns();

    if (next_ns != INT64_MAX && (timeout_ns < 0 || until_next < timeout_ns))
        timeout_ns = until_next < 0 ? 0 : until_next;
    if (timeout_ns < 0)
        return -1;
    timeout_ns = (timeout_ns + PP_NS_PER_MS - 1) / PP_NS_PER_MS;
    return timeout_ns > 1000000 ? 1000000 : (int)timeout_ns;
}

bool pp_client_turn(pipit_client *client, int64_t timeout_ns)
{
    struct epoll_event events[4];
    int64_t next_ns;
    bool idle;
    int count;

    work(client);
    if (client->ended)
        return false;
    if (client->port && timeout_ns && pp_client_spin(client))
        return true;
    pp_client_rest(client);
    pp_client_watch(client);
    idle = fall_asleep(client, &next_ns);
    count = epoll_wait(client->epoll_fd, events, 4, idle ? wait_ms(timeout_ns, next_ns) : 0);
    wake_up(client);
    on_descriptors(client, events, count < 0 ? 0 : count);
    if (client->more && !client->server && client->wire.fd >= 0)
        pp_client_read_in(client);
    if (!client->ended && !atomic_load(&client->closing))
        work(client);
    return !client->ended;
}

void pp_client_watch_for_work(pipit_client *client)
{
    struct itimerspec at = {0};
    int64_t next_ns;
    uint64_t one = 1;

    if (client->ended)
        return;
    pp_client_rest(client);
    pp_client_watch(client);
    if (!fall_asleep(client, &next_ns))
        (void)!write(client->wake_fd, &one, sizeof(one));
    if (next_ns == client->timer_set_ns)
        return;
    if (next_ns != INT64_MAX) {
        at.it_value.tv_sec = next_ns / PP_NS_PER_S;
        at.it_value.tv_nsec = next_ns % PP_NS_PER_S;
        if (next_ns <= 0)
            at.it_value.tv_nsec = 1; /* 0 would mean never */
    }
    (void)timerfd_settime(client->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    client->timer_set_ns = next_ns;
}

void *pp_client_run(void *arg)
{
    pipit_client *client = arg;

    (void)pthread_mutex_lock(&client->lock);
    (void)pp_client_take_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    while (pp_client_turn(client, -1))
        ;
    (void)pthread_mutex_lock(&client->lock);
    pp_client_leave_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    return NULL;
}

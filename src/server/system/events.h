/* server/system/events.h -- what is told of clients: they have come, gone, or been refused.
 *
 * Copied on the client's loop, if anybody listens in the system account, and written on the home
 * loop, if anybody listens to just that. */
#ifndef PP_SERVER_SYSTEM_EVENTS_H
#define PP_SERVER_SYSTEM_EVENTS_H

struct pp_nats_session;
struct pp_system;

/* Thread: the session's loop. */
void pp_events_connected(struct pp_system *system, const struct pp_nats_session *session);
void pp_events_closed(struct pp_system *system, const struct pp_nats_session *session);
void pp_events_refused(struct pp_system *system, const struct pp_nats_session *session);

#endif

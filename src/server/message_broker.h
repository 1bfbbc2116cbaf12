/* server/message_broker.h -- the listener for clients of message-broker, and their broker. */
#ifndef PP_SERVER_MESSAGE_BROKER_H
#define PP_SERVER_MESSAGE_BROKER_H

#include "net/listener.h"
#include "proto/message_broker/broker.h"
#include "server/side_door.h"

typedef struct pp_message_broker {
    pp_door door;
    pp_mb_broker *broker; /* NULL: there is no such door */
    pp_account *account;  /* whose subjects stand for topics; named by this */
    unsigned home;        /* the loop of it all */
    pp_listener listener;
    bool has_listener;
    int adopted;             /* a socket to listen on, given before start; -1: none */
    uint16_t port;           /* that is listened on; 0: none */
    pp_mb_settings settings; /* in force; loops take them when they adapt */
} pp_message_broker;

extern const pp_side_door pp_message_broker_side_door;

#endif

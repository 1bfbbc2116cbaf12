/* Request and reply between two threads of one program, without a socket.
 *
 * One thread serves: it doubles numbers. The other asks it, and waits for each answer. */
#include <pipit/client.h>
#include <pipit/server.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pipit_client *connect_to(pipit_server *server)
{
    pipit_client_options o = {.struct_bytes = sizeof(o), .server = server};
    pipit_client *client;

    return pipit_client_connect(&client, "memory:", &o) ? NULL : client;
}

/* Serves until the subscription ends. */
static void *serve(void *arg)
{
    pipit_sub *sub = arg;
    pipit_client *client = pipit_sub_client(sub);
    pipit_msg *msg;

    while (!pipit_sub_next(sub, -1, &msg)) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%d", 2 * atoi(msg->payload));

        (void)pipit_client_respond(client, msg, text, (size_t)len);
        pipit_msg_free(msg);
    }
    return NULL;
}

int main(void)
{
    static const char *const options[] = {"--no_listen", "--threads=1"};
    pipit_client *asker, *server_side;
    pipit_server *server;
    pipit_sub *sub;
    pthread_t thread;

    if (pipit_server_new(&server, options, 2, NULL, NULL, NULL, 0) || pipit_server_start(server))
        return 1;
    asker = connect_to(server);
    server_side = connect_to(server);
    if (!asker || !server_side ||
        pipit_client_subscribe(server_side, "double", NULL, NULL, NULL, &sub) ||
        pthread_create(&thread, NULL, serve, sub) != 0)
        return 1;
    for (int i = 1; i <= 5; i++) {
        char text[32];
        pipit_msg *reply;
        int len = snprintf(text, sizeof(text), "%d", i);

        if (pipit_client_request(asker, "double", text, (size_t)len, 10000, &reply))
            return 1;
        (void)printf("twice %s is %.*s\n", text, (int)reply->payload_bytes,
                     (const char *)reply->payload);
        pipit_msg_free(reply);
    }
    (void)pipit_sub_drain(sub); /* the thread ends with it */
    (void)pthread_join(thread, NULL);
    pipit_client_free(asker);
    pipit_client_free(server_side);
    pipit_server_free(server);
    return 0;
}

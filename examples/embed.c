/* A message broker inside a program: it subscribes, publishes, and prints what it hears.
 *
 *   cc embed.c $(pkg-config --cflags --libs pipit) -o embed
 *
 * While it runs, any NATS client can connect to its port and take part. */
#include <pipit/server.h>

#include <semaphore.h>
#include <stdio.h>

static void print(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    (void)subscription;
    printf("%.*s: %.*s\n", (int)msg->subject_bytes, msg->subject, (int)msg->payload_bytes,
           (const char *)msg->payload);
    (void)sem_post(context);
}

int main(void)
{
    static const char *const options[] = {"--addr=127.0.0.1", "--port=-1"};
    pipit_subscription *subscription;
    pipit_server *server;
    char error[256];
    sem_t heard;
    pipit_err err;

    err = pipit_server_new(&server, options, 2, NULL, NULL, error, sizeof(error));
    if (err) {
        (void)fprintf(stderr, "%s\n", *error ? error : pipit_strerror(err));
        return 1;
    }
    (void)sem_init(&heard, 0, 0);
    err = pipit_server_start(server);
    if (!err)
        err = pipit_server_subscribe(server, "greetings.*", NULL, print, &heard, &subscription);
    if (!err)
        err = pipit_server_publish(server, "greetings.world", NULL, "hello", 5);
    if (err)
        (void)fprintf(stderr, "%s\n", pipit_strerror(err));
    else
        (void)sem_wait(&heard);
    pipit_server_free(server); /* ends the subscription and stops */
    (void)sem_destroy(&heard);
    return err ? 1 : 0;
}

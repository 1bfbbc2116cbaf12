/* A chat with rooms: everybody in a room hears what is said there, and who comes and goes.
 *
 *   chat [URL]    by default a broker within this program, over memory
 *
 * Three people talk in two rooms; the program ends when all of it has been heard. */
#include <pipit/client.h>
#include <pipit/server.h>

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { PEOPLE = 3, HEARD_WAIT_MS = 10000 };

struct person {
    const char *name;
    pipit_client *client;
    sem_t heard; /* one for each line */
};

/* Subjects are room.NAME.what: said, came, went. */
static void on_line(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct person *person = context;

    (void)sub;
    (void)printf("%s hears %.*s: %.*s\n", person->name, (int)msg->subject_bytes, msg->subject,
                 (int)msg->payload_bytes, (const char *)msg->payload);
    (void)sem_post(&person->heard);
}

static pipit_err say(struct person *person, const char *subject, const char *text)
{
    return pipit_client_publish(person->client, subject, NULL, text, strlen(text));
}

static pipit_err enter(struct person *person, const char *room)
{
    char subject[64];
    pipit_sub *sub;
    pipit_err err;

    (void)snprintf(subject, sizeof(subject), "room.%s.*", room);
    err = pipit_client_subscribe(person->client, subject, NULL, on_line, person, &sub);
    if (!err)
        err = pipit_client_flush(person->client, HEARD_WAIT_MS);
    (void)snprintf(subject, sizeof(subject), "room.%s.came", room);
    return err ? err : say(person, subject, person->name);
}

static void await(struct person *person, int lines)
{
    for (int i = 0; i < lines; i++)
        (void)sem_wait(&person->heard);
}

static pipit_err chat(struct person *p)
{
    pipit_err err = enter(&p[0], "kitchen");

    if (!err)
        err = enter(&p[1], "kitchen");
    if (!err)
        err = enter(&p[2], "garden");
    if (!err)
        err = say(&p[1], "room.kitchen.said", "is there tea?");
    if (!err)
        err = say(&p[2], "room.garden.said", "it rains");
    if (err)
        return err;
    await(&p[0], 3); /* two came, one line */
    await(&p[1], 2);
    await(&p[2], 2);
    return PIPIT_OK;
}

int main(int argc, char **argv)
{
    static const char *const options[] = {"--no_listen"};
    struct person people[PEOPLE] = {{.name = "Ann"}, {.name = "Ben"}, {.name = "Cleo"}};
    pipit_client_options o = {.struct_bytes = sizeof(o)};
    pipit_server *server = NULL;
    pipit_err err = PIPIT_OK;

    if (argc < 2) {
        err = pipit_server_new(&server, options, 1, NULL, NULL, NULL, 0);
        if (!err)
            err = pipit_server_start(server);
        o.server = server;
    }
    for (int i = 0; i < PEOPLE && !err; i++) {
        (void)sem_init(&people[i].heard, 0, 0);
        err = pipit_client_connect(&people[i].client, argc < 2 ? "memory:" : argv[1], &o);
    }
    if (!err)
        err = chat(people);
    if (err)
        (void)fprintf(stderr, "%s\n", pipit_strerror(err));
    for (int i = 0; i < PEOPLE; i++)
        pipit_client_free(people[i].client);
    pipit_server_free(server);
    return err ? 1 : 0;
}

/* The message_broker block, where its keys are not like others. */
#include "config/reader.h"

void pp_read_message_broker(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    pp_message_broker_options *broker = &o->message_broker;

    pp_read_block(reader, key, value, base);
    if (value->kind == PP_VALUE_MAP && broker->port == 0)
        broker->port = PP_MESSAGE_BROKER_DEFAULT_PORT; /* the block alone asks for the door */
    if (broker->key && broker->key_file)
        pp_reader_refuse(reader, key, value, "has a key and a key_file");
    if ((broker->key || broker->key_file) && broker->store == PP_MESSAGE_BROKER_MEMORY)
        pp_reader_refuse(reader, key, value, "has a key, and keeps nothing on disk");
    /* Empty texts stand for the defaults. */
    if (!broker->account)
        broker->account = "$G";
    if (!broker->store_dir)
        broker->store_dir = PP_DEFAULT_STORE_DIR;
}

void pp_read_message_broker_listen(pp_reader *reader, const pp_key *key, const pp_value *value,
                                   void *base)
{
    pp_options *o = base;

    pp_reader_listen(reader, key, value, &o->message_broker.host, &o->message_broker.port);
}

void pp_read_message_broker_host(pp_reader *reader, const pp_key *key, const pp_value *value,
                                 void *base)
{
    pp_options *o = base;

    pp_reader_host(reader, key, value, &o->message_broker.host);
}

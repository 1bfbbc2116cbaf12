/* fuzz_t2 -- frames of the T2 Bus: what is read in either way is the same, and what is written of
 * it reads as it was. Topics on the way are matched in both directions of the tree. */
#include "base/assert.h"
#include "t2/data.h"
#include "t2/reader.h"
#include "t2/tree.h"
#include "t2/writer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *plain(const pp_t2_payload *payload, size_t *out_len)
{
    size_t len = payload->is_array ? payload->count : payload->data.len;
    char *bytes = malloc(len + 1);

    PP_ASSERT(bytes);
    if (payload->is_array)
        len = pp_t2_data_decode(payload->data, bytes);
    else if (len)
        memcpy(bytes, payload->data.ptr, len);
    *out_len = len;
    return bytes;
}

static void check_payload(const pp_t2_payload *a, const pp_t2_payload *b)
{
    size_t n, m;
    char *left = plain(a, &n), *right = plain(b, &m);

    PP_ASSERT(n == m && memcmp(left, right, n) == 0 && a->is_compressed == b->is_compressed);
    free(left);
    free(right);
}

static void check_same(const pp_t2_message *a, const pp_t2_message *b)
{
    PP_ASSERT(a->id == b->id && a->kind == b->kind && pp_str_eq(a->topic, b->topic));
    PP_ASSERT(a->req_id == b->req_id && a->timed_out == b->timed_out && a->msg_id == b->msg_id);
    PP_ASSERT(a->error.code == b->error.code && a->error.number == b->error.number &&
              pp_str_eq(a->error.text, b->error.text) && pp_str_eq(a->error.other, b->error.other));
    PP_ASSERT(a->has_recipients == b->has_recipients &&
              (!a->has_recipients || a->recipients == b->recipients));
    check_payload(&a->payload, &b->payload);
}

static pipit_err note(void *arg, pp_t2_sub *sub)
{
    *(pp_t2_sub **)arg = sub;
    return PIPIT_OK;
}

/* The tree finds it if, and only if, the topics match. */
static void check_topics(pp_str text)
{
    const char *half = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    pp_t2_topic published, subscribed;
    pp_t2_sub sub = {.owner = &sub}, *found = NULL;
    pp_t2_tree tree;

    if (!half || !pp_t2_topic_parse(&published, (pp_str){text.ptr, (size_t)(half - text.ptr)}) ||
        !pp_t2_topic_parse(&subscribed,
                           (pp_str){half + 1, text.len - (size_t)(half - text.ptr) - 1}))
        return;
    (void)pp_t2_topic_parse(&published, text);
    PP_ASSERT(!pp_t2_tree_init(&tree, 1) && !pp_t2_tree_add(&tree, &subscribed, &sub));
    PP_ASSERT(!pp_t2_tree_match(&tree, &published, note, &found));
    PP_ASSERT((found != NULL) == pp_t2_topic_matches(&subscribed, &published));
    found = NULL;
    PP_ASSERT(!pp_t2_tree_match(&tree, &subscribed, note, &found));
    PP_ASSERT((found != NULL) == pp_t2_topic_matches(&subscribed, &subscribed));
    pp_t2_tree_remove(&tree, &sub);
    pp_t2_tree_fini(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pp_t2_reader reader = {0}, again = {0};
    pp_str frame = {(const char *)data, size};
    pp_t2_message quick, slow, back;
    bool canonical = pp_t2_read_canonical(frame, &quick);
    pipit_err err = pp_t2_read_items(&reader, frame, &slow);

    PP_ASSERT(!canonical || !err);
    if (canonical)
        check_same(&quick, &slow);
    if (!err) {
        char *wire = malloc(pp_t2_frame_max(&slow));
        size_t len = pp_t2_write_frame(&slow, wire), used;

        PP_ASSERT(len <= pp_t2_frame_max(&slow));
        PP_ASSERT(pp_t2_read(&again, (pp_str){wire, len}, SIZE_MAX, &back, &used) == PIPIT_OK);
        PP_ASSERT(used == len);
        check_same(&slow, &back);
        check_topics(slow.topic);
        free(wire);
    }
    pp_t2_reader_fini(&reader);
    pp_t2_reader_fini(&again);
    return 0;
}

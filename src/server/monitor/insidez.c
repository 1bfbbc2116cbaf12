/* Looks inside, for those who debug: queues, loops, memory. What nats-server shows here are the
 * insides of its own; tools need the form only. */
#include "base/alloc.h"
#include "core/sublist.h"
#include "server/monitor/page.h"

#include <sys/resource.h>

static bool contains(pp_str text, pp_str part)
{
    return part.len == 0 || memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

/* The one queue that can be looked at: that of the questions themselves. */
pipit_err pp_monitor_write_ipqueuesz(pp_page *page)
{
    static const pp_str name = {"Monitor jobs", 12};
    size_t waiting = pp_monitor_waiting(page->monitor);
    pp_json json;

    pp_page_json(page, &json, 3);
    pp_json_begin_object(&json, NULL);
    if ((waiting || page->options->all) && contains(name, page->options->queues)) {
        pp_json_begin_object_at(&json, name);
        pp_json_u64(&json, "pending", waiting);
        pp_json_end_object(&json);
    }
    return pp_page_end(&json);
}

/* There are no stacks to show that would mean anything outside a debugger; what each loop has
 * counted tells more. */
pipit_err pp_monitor_write_stacksz(pp_page *page)
{
    pipit_err err = PIPIT_OK;

    for (unsigned i = 0; i < page->server->worker_count && !err; i++) {
        pp_counters *c = &page->server->workers[i].counters;

        err = pp_buf_addf(&page->body, "loop %u\n", i);
#define PUT(name, meaning)                                                                         \
    if (!err)                                                                                      \
        err = pp_buf_addf(                                                                         \
            &page->body, "  %s %llu (%s)\n", #name,                                                \
            (unsigned long long)atomic_load_explicit(&c->name, memory_order_relaxed), meaning);
        PP_COUNTERS(PUT)
#undef PUT
    }
    return err;
}

/* The command line is that of the process, which may be another program's with secrets of its own:
 * only the name of this one is told. */
pipit_err pp_monitor_write_debug_vars(pp_page *page)
{
    uint64_t rss = pp_vitals_rss_bytes();
    struct rusage usage = {0};
    pp_json json;

    (void)getrusage(RUSAGE_SELF, &usage); /* zeros are fine */
    page->content_type = "application/json; charset=utf-8";
    page->open_to_all = false;
    pp_page_json(page, &json, 2);
    pp_json_begin_object(&json, NULL);
    pp_json_begin_array(&json, "cmdline");
    pp_json_text(&json, NULL, PP_STR("pipit-server"));
    pp_json_end_array(&json);
    pp_json_begin_object(&json, "memstats");
    pp_json_u64(&json, "Alloc", rss);
    pp_json_u64(&json, "TotalAlloc", (uint64_t)usage.ru_maxrss * 1024);
    pp_json_u64(&json, "Sys", rss);
    pp_json_u64(&json, "HeapAlloc", rss);
    pp_json_u64(&json, "HeapSys", rss);
    pp_json_i64(&json, "HeapObjects", pp_alloc_live());
    pp_json_u64(&json, "NumGC", 0);
    pp_json_end_object(&json);
    return pp_page_end(&json);
}

/* base/list.h -- intrusive doubly linked ring. A list is a link that stands for nobody. */
#ifndef PP_BASE_LIST_H
#define PP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pp_link {
    struct pp_link *next;
    struct pp_link *prev;
} pp_link;

#define PP_CONTAINER(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void pp_list_init(pp_link *list)
{
    list->next = list->prev = list;
}

static inline bool pp_list_empty(const pp_link *list)
{
    return list->next == list;
}

static inline void pp_list_append(pp_link *list, pp_link *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

/* Take the link out; it may be removed again without harm. */
static inline void pp_list_remove(pp_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = link;
}

#endif

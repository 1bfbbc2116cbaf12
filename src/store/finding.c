#include "store/finding.h"

#include "base/assert.h"

struct words {
    const char *name;
    const char *text;
};

static const struct words words[] = {
    [PP_FINDING_NO_MANIFEST] = {"manifest", "the manifest is missing or damaged"},
    [PP_FINDING_NO_HEADER] = {"header", "the header of the segment is damaged"},
    [PP_FINDING_NO_FOOTER] = {"footer", "the footer of the segment is missing or damaged"},
    [PP_FINDING_NO_INDEX] = {"index", "the index in the footer of the segment is damaged"},
    [PP_FINDING_BYTES] = {"bytes", "bytes that should be records are not"},
    [PP_FINDING_MESSAGES] = {"messages", "messages are lost"},
    [PP_FINDING_FILES] = {"files", "segments are missing"},
    [PP_FINDING_FOREIGN_FILE] = {"foreign", "the file is not the segment that it is called"},
    [PP_FINDING_NO_NEWEST] = {"newest",
                              "the segment to write to is missing: the store is only read"},
    [PP_FINDING_TORN_WRITE] = {"torn", "a write never finished, and will be cut off"},
    [PP_FINDING_UNSEALED] = {"unsealed", "the segment never got its footer"},
};

const char *pp_finding_name(pp_finding_kind kind)
{
    PP_ASSERT(kind <= PP_FINDING_UNSEALED);
    return words[kind].name;
}

const char *pp_finding_text(pp_finding_kind kind)
{
    PP_ASSERT(kind <= PP_FINDING_UNSEALED);
    return words[kind].text;
}

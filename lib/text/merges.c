/* SPDX-License-Identifier: MIT
 *
 * merges.txt (Hugging Face) and bpe_simple_vocab_16e6.txt (OpenAI): the same lines.
 */
#include "text/merges.h"

#include <string.h>

/* Fills the tokens of one line; 0 if it is not two tokens with one blank between. */
static int split_line(const char *line, size_t length, sdi_merge *merge)
{
    const char *blank = memchr(line, ' ', length);
    if (!blank || blank == line || blank + 1 == line + length)
        return 0;
    merge->left = line;
    merge->left_length = (size_t)(blank - line);
    merge->right = blank + 1;
    merge->right_length = length - merge->left_length - 1;
    return memchr(merge->right, ' ', merge->right_length) == NULL;
}

static int is_header(const sdi_merges *merges, size_t length)
{
    static const char start[] = "#version";
    return merges->header ||
           (length >= strlen(start) && memcmp(merges->text, start, strlen(start)) == 0);
}

sdiff_status sdi_merges_walk(const sdi_env *env, const sdi_merges *merges, sdi_merge_fn fn,
                             void *user)
{
    if (merges->size == 0)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: empty, merge rules were expected",
                        merges->name);
    if (memchr(merges->text, '\0', merges->size))
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: contains a NUL byte", merges->name);
    sdi_merge merge = {0};
    const char *line = merges->text, *end = merges->text + merges->size;
    for (long number = 1; line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *next = stop ? stop + 1 : end;
        size_t length = (size_t)((stop ? stop : end) - line);
        length -= length > 0 && line[length - 1] == '\r';
        const int skip = length == 0 || (number == 1 && is_header(merges, length));
        if (!skip) {
            if (!split_line(line, length, &merge))
                return sdi_fail(env, SDIFF_ERROR_FORMAT,
                                "%s: line %ld is '%.*s', not two tokens with a blank between",
                                merges->name, number, (int)SDI_MIN(length, 80), line);
            SDI_TRY(fn(env, user, &merge));
            if (++merge.rank == merges->limit)
                return SDIFF_OK;
        }
        line = next;
    }
    return SDIFF_OK;
}

sdiff_status sdi_merge_join(const sdi_merge *merge, sdi_strbuf *joined)
{
    joined->length = 0;
    sdi_strbuf_append(joined, merge->left, merge->left_length);
    sdi_strbuf_append(joined, merge->right, merge->right_length);
    return joined->status;
}

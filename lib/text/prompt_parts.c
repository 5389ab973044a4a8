/* SPDX-License-Identifier: MIT
 *
 * Lists of weighted parts of a prompt.
 */
#include "text/prompt_parts.h"

#include "base/memory.h"

#include <string.h>

void sdi_parts_draft_init(sdi_parts_draft *draft, const sdi_env *env)
{
    memset(draft, 0, sizeof *draft);
    draft->env = env;
    sdi_strbuf_init(&draft->pool, env);
}

static sdiff_status reserve(sdi_parts_draft *draft)
{
    if (draft->count < draft->capacity)
        return SDIFF_OK;
    const int32_t capacity = 2 * draft->capacity + 16;
    sdi_part_draft *parts =
        sdi_realloc(draft->env, draft->parts, (uint64_t)capacity, sizeof *parts);
    if (!parts)
        return SDIFF_ERROR_NO_MEMORY;
    draft->parts = parts;
    draft->capacity = capacity;
    return SDIFF_OK;
}

sdiff_status sdi_parts_draft_add(sdi_parts_draft *draft, const sdi_codes *codes, size_t start,
                                 size_t end, double weight)
{
    SDI_TRY(reserve(draft));
    const size_t from = draft->pool.length;
    for (size_t i = start; i < end; i++) {
        char utf8[4];
        sdi_strbuf_append(&draft->pool, utf8, sdi_utf8_encode(codes->at[i], (unsigned char *)utf8));
    }
    SDI_TRY(draft->pool.status);
    draft->parts[draft->count++] = (sdi_part_draft){from, draft->pool.length, weight};
    return SDIFF_OK;
}

/* Texts get a NUL each, which is why the pool is copied. */
static sdiff_status publish(const sdi_parts_draft *draft, sdi_prompt_parts *out)
{
    out->parts = sdi_alloc(draft->env, (uint64_t)draft->count, sizeof *out->parts);
    out->pool = sdi_alloc(draft->env, draft->pool.length + (size_t)draft->count, 1);
    if (!out->parts || !out->pool)
        return SDIFF_ERROR_NO_MEMORY;
    char *to = out->pool;
    for (int32_t i = 0; i < draft->count; i++) {
        const sdi_part_draft *part = &draft->parts[i];
        const size_t length = part->end - part->start;
        if (length)
            memcpy(to, draft->pool.text + part->start, length);
        to[length] = '\0';
        out->parts[i] = (sdi_prompt_part){to, length, part->weight};
        to += length + 1;
    }
    out->count = draft->count;
    return SDIFF_OK;
}

sdiff_status sdi_parts_draft_finish(sdi_parts_draft *draft, sdiff_status status,
                                    sdi_prompt_parts *out)
{
    memset(out, 0, sizeof *out);
    if (status == SDIFF_OK)
        status = publish(draft, out);
    if (status != SDIFF_OK)
        sdi_prompt_parts_free(draft->env, out);
    sdi_free(draft->env, draft->parts);
    sdi_strbuf_free(&draft->pool);
    return status;
}

void sdi_prompt_parts_free(const sdi_env *env, sdi_prompt_parts *parts)
{
    sdi_free(env, parts->parts);
    sdi_free(env, parts->pool);
    memset(parts, 0, sizeof *parts);
}

sdiff_status sdi_prompt_decode(const sdi_env *env, const char *text, size_t length,
                               sdi_codes *codes)
{
    if (length > SDI_PROMPT_LONGEST)
        return sdi_fail(env, SDIFF_ERROR_LIMIT, "a prompt of %zu bytes, at most %d are possible",
                        length, SDI_PROMPT_LONGEST);
    return sdi_codes_append_utf8(env, codes, text, length);
}

static int is_word(const sdi_codes *codes, size_t at)
{
    const int32_t code = codes->at[at];
    return code == '_' || sdi_is_letter(code) || sdi_is_number(code);
}

int sdi_is_word_boundary(const sdi_codes *codes, size_t start, size_t end, size_t at)
{
    const int before = at > start && is_word(codes, at - 1);
    const int behind = at < end && is_word(codes, at);
    return before != behind;
}

int sdi_word_stands_at(const sdi_codes *codes, size_t start, size_t end, size_t at,
                       const char *word)
{
    const size_t length = strlen(word);
    if (end - at < length)
        return 0;
    for (size_t i = 0; i < length; i++)
        if (codes->at[at + i] != word[i])
            return 0;
    return sdi_is_word_boundary(codes, start, end, at) &&
           sdi_is_word_boundary(codes, start, end, at + length);
}

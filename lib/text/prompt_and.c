/* SPDX-License-Identifier: MIT
 *
 * Composable prompts: "a AND b:0.5".
 */
#include "text/number.h"
#include "text/prompt_parts.h"

#include <string.h>

static size_t trim_end(const sdi_codes *text, size_t start, size_t end)
{
    while (end > start && sdi_is_python_space(text->at[end - 1]))
        end--;
    return end;
}

/* The weight at the end of [start, *end), which is cut off; 1 if there is none. */
static double cut_weight(const sdi_codes *text, size_t start, size_t *end)
{
    *end = trim_end(text, start, *end);
    size_t colon = *end;
    while (colon > start && text->at[colon - 1] != ':')
        colon--;
    if (colon == start)
        return 1;
    size_t number = colon--;
    while (number < *end && sdi_is_python_space(text->at[number]))
        number++;
    double weight = 1;
    const size_t length = sdi_read_decimal(text->at + number, *end - number, 0, &weight);
    if (length == 0 || number + length != *end)
        return 1;
    *end = trim_end(text, start, colon);
    return weight;
}

static sdiff_status add_part(sdi_parts_draft *draft, const sdi_codes *text, size_t start,
                             size_t end)
{
    const double weight = cut_weight(text, start, &end);
    return sdi_parts_draft_add(draft, text, start, end, weight);
}

static sdiff_status split(sdi_parts_draft *draft, const sdi_codes *text)
{
    static const char word[] = "AND";
    size_t start = 0;
    for (size_t i = 0; i < text->count; i++) {
        if (!sdi_word_stands_at(text, 0, text->count, i, word))
            continue;
        SDI_TRY(add_part(draft, text, start, i));
        start = i + strlen(word);
        i = start - 1;
    }
    return add_part(draft, text, start, text->count);
}

sdiff_status sdi_prompt_split_and(const sdi_env *env, const char *text, size_t length,
                                  sdi_prompt_parts *out)
{
    sdi_codes codes = {0};
    sdi_parts_draft draft;
    sdi_parts_draft_init(&draft, env);
    sdiff_status status = sdi_prompt_decode(env, text, length, &codes);
    if (status == SDIFF_OK)
        status = split(&draft, &codes);
    sdi_codes_free(env, &codes);
    return sdi_parts_draft_finish(&draft, status, out);
}

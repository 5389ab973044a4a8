/* SPDX-License-Identifier: MIT
 *
 * Weights in prompts: (a), [a], (a:1.3), escapes, BREAK. Weights are products in double precision,
 * taken in the order in which brackets close, so that equal ones compare equal as in the original
 * (parse_prompt_attention).
 */
#include "text/number.h"
#include "text/prompt_parts.h"

#include <string.h>

static const double round_weight = 1.1, square_weight = 1 / 1.1;

/* Open brackets of one kind: the part that each will begin with. */
typedef struct brackets {
    int32_t at[SDI_PROMPT_DEEPEST];
    int32_t count;
} brackets;

typedef struct parsing {
    sdi_parts_draft draft;
    const sdi_codes *text;
    brackets round, square;
} parsing;

static sdiff_status open_bracket(parsing *p, brackets *b)
{
    if (b->count == SDI_PROMPT_DEEPEST)
        return sdi_fail(p->draft.env, SDIFF_ERROR_LIMIT,
                        "more than %d brackets of the prompt are open at once", SDI_PROMPT_DEEPEST);
    b->at[b->count++] = p->draft.count;
    return SDIFF_OK;
}

/* All parts from `first` on get heavier. */
static void multiply_from(parsing *p, int32_t first, double weight)
{
    for (int32_t i = first; i < p->draft.count; i++)
        p->draft.parts[i].weight *= weight;
}

static void close_bracket(parsing *p, brackets *b, double weight)
{
    multiply_from(p, b->at[--b->count], weight);
}

static int is_special(int32_t code)
{
    return code == '\\' || code == '(' || code == ')' || code == '[' || code == ']' || code == ':';
}

static size_t skip_space(const sdi_codes *text, size_t i, size_t end)
{
    while (i < end && sdi_is_python_space(text->at[i]))
        i++;
    return i;
}

/* ":1.3)" at i. Returns what stands behind it, 0 if it is no weight. */
static size_t read_weight(const sdi_codes *text, size_t i, double *weight)
{
    i = skip_space(text, i + 1, text->count);
    const size_t length = sdi_read_decimal(text->at + i, text->count - i, 0, weight);
    i = skip_space(text, i + length, text->count);
    return length && i < text->count && text->at[i] == ')' ? i + 1 : 0;
}

/* Plain text [start, end): parts between the words BREAK, with the blanks round these dropped. */
static sdiff_status add_text(parsing *p, size_t start, size_t end)
{
    static const char word[] = "BREAK";
    const size_t whole = start;
    for (size_t i = start; i < end; i++) {
        if (!sdi_word_stands_at(p->text, whole, end, i, word))
            continue;
        size_t stop = i;
        while (stop > start && sdi_is_python_space(p->text->at[stop - 1]))
            stop--;
        SDI_TRY(sdi_parts_draft_add(&p->draft, p->text, start, stop, 1));
        SDI_TRY(sdi_parts_draft_add(&p->draft, p->text, i, i + strlen(word), -1));
        start = skip_space(p->text, i + strlen(word), end);
        i = start - 1;
    }
    return sdi_parts_draft_add(&p->draft, p->text, start, end, 1);
}

/* "\(" stands for "(" and so on; any other backslash for nothing. */
static sdiff_status add_escape(parsing *p, size_t *i)
{
    const int escaped =
        *i + 1 < p->text->count && p->text->at[*i + 1] != ':' && is_special(p->text->at[*i + 1]);
    SDI_TRY(sdi_parts_draft_add(&p->draft, p->text, *i + 1, *i + 1 + (size_t)escaped, 1));
    *i += 1 + (size_t)escaped;
    return SDIFF_OK;
}

/* One token of the prompt at *i. */
static sdiff_status step(parsing *p, size_t *i)
{
    const int32_t code = p->text->at[*i];
    if (code == '\\')
        return add_escape(p, i);
    double weight = 0;
    const size_t weighed = code == ':' && p->round.count ? read_weight(p->text, *i, &weight) : 0;
    size_t behind = weighed ? weighed : *i + 1;
    if (code == '(') {
        SDI_TRY(open_bracket(p, &p->round));
    } else if (code == '[') {
        SDI_TRY(open_bracket(p, &p->square));
    } else if (weighed) {
        close_bracket(p, &p->round, weight);
    } else if (code == ')' && p->round.count) {
        close_bracket(p, &p->round, round_weight);
    } else if (code == ']' && p->square.count) {
        close_bracket(p, &p->square, square_weight);
    } else {
        while (!is_special(code) && behind < p->text->count && !is_special(p->text->at[behind]))
            behind++;
        SDI_TRY(add_text(p, *i, behind));
    }
    *i = behind;
    return SDIFF_OK;
}

static void merge_equal(sdi_parts_draft *draft)
{
    int32_t count = 1;
    for (int32_t i = 1; i < draft->count; i++) {
        if (draft->parts[i].weight == draft->parts[count - 1].weight)
            draft->parts[count - 1].end = draft->parts[i].end;
        else
            draft->parts[count++] = draft->parts[i];
    }
    draft->count = count;
}

static sdiff_status parse(parsing *p)
{
    for (size_t i = 0; i < p->text->count;)
        SDI_TRY(step(p, &i));
    for (int32_t i = 0; i < p->round.count; i++)
        multiply_from(p, p->round.at[i], round_weight);
    for (int32_t i = 0; i < p->square.count; i++)
        multiply_from(p, p->square.at[i], square_weight);
    if (p->draft.count == 0)
        SDI_TRY(sdi_parts_draft_add(&p->draft, p->text, 0, 0, 1));
    merge_equal(&p->draft);
    return SDIFF_OK;
}

sdiff_status sdi_prompt_parse_weights(const sdi_env *env, const char *text, size_t length,
                                      sdi_prompt_parts *out)
{
    sdi_codes codes = {0};
    parsing p = {.text = &codes};
    sdi_parts_draft_init(&p.draft, env);
    sdiff_status status = sdi_prompt_decode(env, text, length, &codes);
    if (status == SDIFF_OK)
        status = parse(&p);
    sdi_codes_free(env, &codes);
    return sdi_parts_draft_finish(&p.draft, status, out);
}

int sdi_prompt_is_break(const sdi_prompt_part *part)
{
    return part->weight == -1 && part->length == 5 && memcmp(part->text, "BREAK", 5) == 0;
}

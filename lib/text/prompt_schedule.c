/* SPDX-License-Identifier: MIT
 *
 * Prompt schedules: [from:to:when], [to:when], [from::when], [a|b|c].
 *
 * The original's grammar (lark, Earley) is
 *   start      (prompt | "[" | "]" | "(" | ")" | ":")*
 *   prompt     ( "(" prompt ")" | "(" prompt ":" prompt ")" | "[" prompt "]"
 *              | "[" (prompt ":")? prompt ":" number "]" | "[" prompt ("|" prompt)+ "]" | text )*
 *   text       anything but brackets, ":" and "|", with "\x" for any x but a line feed
 * so that a bracket group is ambiguous in one way only: at the top it may also be read as single
 * characters. Where the original decides, it takes the group (in some texts it leaves the choice
 * to the hash seed); here it always is one. That makes one pass with a stack enough: a group that
 * cannot be closed spills everything that is open to the top.
 */
#include "base/memory.h"
#include "text/number.h"
#include "text/prompt.h"
#include "text/prompt_parts.h"

#include <string.h>

enum { MOST_STEPS = 100000 };

/* A scheduled or alternating group of the text. */
typedef struct group {
    size_t open, close;   // of the brackets
    int32_t first, count; // its separators
    int32_t alternates;   // "|" rather than ":"
    int32_t when;         // last step of the first text, for ":"
} group;

/* An open bracket. */
typedef struct frame {
    size_t open;
    int32_t first; // of its separators among the pending ones
    int32_t colons, bars;
} frame;

typedef struct positions {
    size_t *at;
    int32_t count, capacity;
} positions;

typedef struct schedule_parser {
    const sdi_env *env;
    const sdi_codes *text;
    int32_t steps;
    sdi_prompt_when rule;
    int literal; // the grammar does not fit
    frame frames[SDI_PROMPT_DEEPEST];
    int32_t depth;
    positions pending;    // separators of the open frames
    positions separators; // of the groups, in turn
    group *groups;        // in the order of their closing brackets, later of their opening ones
    int32_t group_count, group_capacity;
    int32_t *group_of; // for each code point: index of the group that opens there, or -1
} schedule_parser;

static sdiff_status push_position(const sdi_env *env, positions *list, size_t at)
{
    if (list->count == list->capacity) {
        const int32_t capacity = 2 * list->capacity + 32;
        size_t *grown = sdi_realloc(env, list->at, (uint64_t)capacity, sizeof *grown);
        if (!grown)
            return SDIFF_ERROR_NO_MEMORY;
        list->at = grown;
        list->capacity = capacity;
    }
    list->at[list->count++] = at;
    return SDIFF_OK;
}

/* --- parsing ---------------------------------------------------------------------------------- */

/* The number between codes [start, end) and blanks round it. */
static int read_when(const schedule_parser *p, size_t start, size_t end, int32_t *when)
{
    const int32_t *at = p->text->at;
    while (start < end && sdi_is_python_space(at[start]))
        start++;
    while (start < end && sdi_is_python_space(at[end - 1]))
        end--;
    double value = 0;
    if (start == end || sdi_read_decimal(at + start, end - start, 1, &value) != end - start)
        return 0;
    int point = 0;
    for (size_t i = start; i < end; i++)
        point |= at[i] == '.';
    const int fraction = p->rule == SDI_PROMPT_WHEN_POINT ? point : value < 1;
    if (fraction)
        value *= p->steps;
    *when = value >= p->steps ? p->steps : value < 0 ? -1 : (int32_t)value;
    return 1;
}

static sdiff_status add_group(schedule_parser *p, const frame *f, size_t close, int32_t when)
{
    if (p->group_count == p->group_capacity) {
        const int32_t capacity = 2 * p->group_capacity + 16;
        group *groups = sdi_realloc(p->env, p->groups, (uint64_t)capacity, sizeof *groups);
        if (!groups)
            return SDIFF_ERROR_NO_MEMORY;
        p->groups = groups;
        p->group_capacity = capacity;
    }
    const int32_t first = p->separators.count;
    for (int32_t i = f->first; i < p->pending.count; i++)
        SDI_TRY(push_position(p->env, &p->separators, p->pending.at[i]));
    p->group_of[f->open] = p->group_count;
    p->groups[p->group_count++] =
        (group){f->open, close, first, p->separators.count - first, f->bars > 0, when};
    return SDIFF_OK;
}

/* All open brackets turn into plain characters; a "|" among them fits nowhere then. */
static void spill(schedule_parser *p)
{
    for (int32_t i = 0; i < p->depth; i++)
        p->literal |= p->frames[i].bars > 0;
    p->depth = 0;
    p->pending.count = 0;
}

static sdiff_status close_frame(schedule_parser *p, size_t at)
{
    if (p->depth == 0)
        return SDIFF_OK;
    const frame *f = &p->frames[p->depth - 1];
    const int round = p->text->at[at] == ')';
    const int matches = p->text->at[f->open] == (round ? '(' : '[');
    int32_t when = 0;
    int fits = matches && f->bars == 0 && f->colons <= round;
    if (matches && !round && f->colons == 0 && f->bars > 0) {
        SDI_TRY(add_group(p, f, at, 0));
        fits = 1;
    } else if (matches && !round && f->bars == 0 && (f->colons == 1 || f->colons == 2) &&
               read_when(p, p->pending.at[p->pending.count - 1] + 1, at, &when)) {
        SDI_TRY(add_group(p, f, at, when));
        fits = 1;
    }
    if (!fits) {
        spill(p);
        return SDIFF_OK;
    }
    p->pending.count = f->first;
    p->depth--;
    return SDIFF_OK;
}

static sdiff_status open_frame(schedule_parser *p, size_t at)
{
    if (p->depth == SDI_PROMPT_DEEPEST)
        return sdi_fail(p->env, SDIFF_ERROR_LIMIT,
                        "more than %d brackets of the prompt are open at once", SDI_PROMPT_DEEPEST);
    p->frames[p->depth++] = (frame){.open = at, .first = p->pending.count};
    return SDIFF_OK;
}

static sdiff_status add_separator(schedule_parser *p, size_t at)
{
    const int bar = p->text->at[at] == '|';
    if (p->depth == 0) {
        p->literal |= bar;
        return SDIFF_OK;
    }
    p->frames[p->depth - 1].bars += bar;
    p->frames[p->depth - 1].colons += !bar;
    return push_position(p->env, &p->pending, at);
}

static sdiff_status parse(schedule_parser *p)
{
    const sdi_codes *text = p->text;
    for (size_t i = 0; i < text->count && !p->literal; i++) {
        switch (text->at[i]) {
        case '\\':
            p->literal |= i + 1 == text->count || text->at[i + 1] == '\n';
            i++;
            break;
        case '(':
        case '[': SDI_TRY(open_frame(p, i)); break;
        case ')':
        case ']': SDI_TRY(close_frame(p, i)); break;
        case ':':
        case '|': SDI_TRY(add_separator(p, i)); break;
        default: break;
        }
    }
    spill(p);
    return SDIFF_OK;
}

/* --- writing the text of a step --------------------------------------------------------------- */

typedef struct writing {
    const schedule_parser *p;
    sdi_strbuf *out;
    int32_t step;
} writing;

/* The range of the group's text that holds at this step. */
static void choose(const writing *w, const group *g, size_t *start, size_t *end)
{
    const size_t *separators = w->p->separators.at + g->first;
    int32_t part = 0; // counted from the opening bracket
    *start = *end = 0;
    if (g->alternates)
        part = (w->step - 1) % (g->count + 1);
    else if (w->step > g->when)
        part = g->count - 1; // the number is no text
    else if (g->count == 1)
        return; // [to:when] begins with nothing
    *start = (part == 0 ? g->open : separators[part - 1]) + 1;
    *end = part == g->count ? g->close : separators[part];
}

/* Recursion is bounded by SDI_PROMPT_DEEPEST. */
static void write_range(const writing *w, size_t start, size_t end)
{
    for (size_t i = start; i < end; i++) {
        const int32_t index = w->p->literal ? -1 : w->p->group_of[i];
        if (index >= 0) {
            const group *g = &w->p->groups[index];
            size_t from = 0, to = 0;
            choose(w, g, &from, &to);
            write_range(w, from, to);
            i = g->close;
        } else {
            char utf8[4];
            sdi_strbuf_append(w->out, utf8,
                              sdi_utf8_encode(w->p->text->at[i], (unsigned char *)utf8));
        }
    }
}

/* --- the list of stages ----------------------------------------------------------------------- */

/* Marks the steps (from 1) after which the text may change. Returns their number. */
static int32_t mark_ends(const schedule_parser *p, unsigned char *ends)
{
    int all = 0;
    for (int32_t i = 0; i < p->group_count && !p->literal; i++) {
        all |= p->groups[i].alternates;
        if (!p->groups[i].alternates && p->groups[i].when >= 1)
            ends[p->groups[i].when] = 1;
    }
    ends[p->steps] = 1;
    int32_t count = 0;
    for (int32_t step = 1; step <= p->steps; step++) {
        ends[step] |= (unsigned char)all;
        count += ends[step];
    }
    return count;
}

static sdiff_status write_stages(const schedule_parser *p, const unsigned char *ends,
                                 sdi_prompt_schedule *out)
{
    enum { LARGEST_POOL = 1 << 28 };
    sdi_strbuf pool;
    sdi_strbuf_init(&pool, p->env);
    size_t *starts = sdi_alloc(p->env, (uint64_t)out->count, sizeof *starts);
    sdiff_status status = starts ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    int32_t n = 0;
    for (int32_t step = 1; step <= p->steps && status == SDIFF_OK; step++) {
        if (!ends[step])
            continue;
        starts[n] = pool.length;
        const writing w = {p, &pool, step};
        write_range(&w, 0, p->text->count);
        out->stages[n].last_step = step;
        out->stages[n].length = pool.length - starts[n];
        n++;
        sdi_strbuf_append(&pool, "", 1);
        status = pool.status;
        if (status == SDIFF_OK && pool.length > LARGEST_POOL)
            status = sdi_fail(p->env, SDIFF_ERROR_LIMIT,
                              "the schedule of the prompt takes more than %d bytes", LARGEST_POOL);
    }
    if (status == SDIFF_OK) {
        out->pool = sdi_strbuf_take(&pool);
        for (int32_t i = 0; i < n; i++)
            out->stages[i].text = out->pool + starts[i];
    }
    sdi_free(p->env, starts);
    sdi_strbuf_free(&pool);
    return status;
}

static sdiff_status list_stages(const schedule_parser *p, sdi_prompt_schedule *out)
{
    unsigned char *ends = sdi_zalloc(p->env, (uint64_t)p->steps + 1, 1);
    if (!ends)
        return SDIFF_ERROR_NO_MEMORY;
    out->count = mark_ends(p, ends);
    out->stages = sdi_zalloc(p->env, (uint64_t)out->count, sizeof *out->stages);
    const sdiff_status status = out->stages ? write_stages(p, ends, out) : SDIFF_ERROR_NO_MEMORY;
    sdi_free(p->env, ends);
    return status;
}

static sdiff_status run(schedule_parser *p, const char *text, size_t length, sdi_codes *codes,
                        sdi_prompt_schedule *out)
{
    SDI_TRY(sdi_prompt_decode(p->env, text, length, codes));
    p->text = codes;
    p->group_of = sdi_alloc(p->env, codes->count, sizeof *p->group_of);
    if (!p->group_of)
        return SDIFF_ERROR_NO_MEMORY;
    memset(p->group_of, 0xff, codes->count * sizeof *p->group_of);
    SDI_TRY(parse(p));
    return list_stages(p, out);
}

sdiff_status sdi_prompt_parse_schedule(const sdi_env *env, const char *text, size_t length,
                                       int32_t steps, sdi_prompt_when rule,
                                       sdi_prompt_schedule *out)
{
    memset(out, 0, sizeof *out);
    if (steps < 1 || steps > MOST_STEPS)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a schedule over %d steps, 1 to %d are possible", steps, MOST_STEPS);
    schedule_parser *p = sdi_zalloc(env, 1, sizeof *p);
    if (!p)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_codes codes = {0};
    p->env = env;
    p->steps = steps;
    p->rule = rule;
    const sdiff_status status = run(p, text, length, &codes, out);
    sdi_free(env, p->pending.at);
    sdi_free(env, p->separators.at);
    sdi_free(env, p->groups);
    sdi_free(env, p->group_of);
    sdi_free(env, p);
    sdi_codes_free(env, &codes);
    if (status != SDIFF_OK)
        sdi_prompt_schedule_free(env, out);
    return status;
}

const sdi_prompt_stage *sdi_prompt_stage_at(const sdi_prompt_schedule *schedule, int32_t step)
{
    int32_t i = 0;
    while (i + 1 < schedule->count && schedule->stages[i].last_step < step)
        i++;
    return &schedule->stages[i];
}

void sdi_prompt_schedule_free(const sdi_env *env, sdi_prompt_schedule *schedule)
{
    sdi_free(env, schedule->stages);
    sdi_free(env, schedule->pool);
    memset(schedule, 0, sizeof *schedule);
}

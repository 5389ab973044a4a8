/* SPDX-License-Identifier: MIT
 *
 * Opcodes for the stack, the memo and the framing of a pickle.
 */
#include "io/pickle_machine.h"

#include <string.h>

enum { HIGHEST_PROTOCOL = 5 };

static sdiff_status op_protocol(sdi_machine *m)
{
    uint64_t protocol = 0;
    SDI_TRY(sdi_pickle_number(m, 1, &protocol));
    if (protocol > HIGHEST_PROTOCOL)
        return sdi_pickle_fail(m, "protocol %d, at most %d is known", (int)protocol,
                               HIGHEST_PROTOCOL);
    return SDIFF_OK;
}

static sdiff_status op_frame(sdi_machine *m)
{
    uint64_t size = 0;
    SDI_TRY(sdi_pickle_number(m, 8, &size));
    if (size > m->size - m->at)
        return sdi_pickle_fail(m, "a frame of %llu bytes, %llu are left", (unsigned long long)size,
                               (unsigned long long)(m->size - m->at));
    return SDIFF_OK;
}

static sdiff_status op_stop(sdi_machine *m)
{
    m->stopped = 1;
    return SDIFF_OK;
}

static sdiff_status op_mark(sdi_machine *m)
{
    SDI_TRY(sdi_grow(m->env, &m->marks, m->mark_count, &m->mark_capacity, sizeof *m->marks));
    m->marks[m->mark_count++] = m->depth;
    return SDIFF_OK;
}

static sdiff_status op_pop(sdi_machine *m)
{
    sdi_value *value = NULL;
    /* Directly above a mark it is the mark that goes. */
    if (m->mark_count && m->marks[m->mark_count - 1] == m->depth) {
        m->mark_count--;
        return SDIFF_OK;
    }
    return sdi_pickle_pop(m, &value);
}

static sdiff_status op_pop_mark(sdi_machine *m)
{
    sdi_value **values = NULL;
    uint64_t count = 0;
    return sdi_pickle_pop_mark(m, &values, &count);
}

static sdiff_status op_duplicate(sdi_machine *m)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_peek(m, &value));
    return sdi_pickle_push(m, value);
}

/* Writers count the slots up, one for each opcode, so none can be ahead of the place in
 * the program. */
static sdiff_status memo_put(sdi_machine *m, uint64_t slot)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_peek(m, &value));
    if (slot > m->at)
        return sdi_fail(m->env, SDIFF_ERROR_LIMIT,
                        "%s: the pickle uses memo slot %llu, more than it has bytes so far",
                        m->name, (unsigned long long)slot);
    if (slot >= m->memo_capacity) {
        const uint64_t old = m->memo_capacity;
        SDI_TRY(sdi_grow(m->env, &m->memo, slot, &m->memo_capacity, sizeof *m->memo));
        memset(m->memo + old, 0, (size_t)(m->memo_capacity - old) * sizeof *m->memo);
    }
    m->memo[slot] = value;
    m->memo_count = SDI_MAX(m->memo_count, slot + 1);
    return SDIFF_OK;
}

static sdiff_status memo_get(sdi_machine *m, uint64_t slot)
{
    if (slot >= m->memo_count || !m->memo[slot])
        return sdi_pickle_fail(m, "memo slot %llu was never written", (unsigned long long)slot);
    return sdi_pickle_push(m, m->memo[slot]);
}

static sdiff_status op_put1(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(sdi_pickle_number(m, 1, &slot));
    return memo_put(m, slot);
}

static sdiff_status op_put4(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(sdi_pickle_number(m, 4, &slot));
    return memo_put(m, slot);
}

static sdiff_status op_memoize(sdi_machine *m)
{
    return memo_put(m, m->memo_count);
}

static sdiff_status op_get1(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(sdi_pickle_number(m, 1, &slot));
    return memo_get(m, slot);
}

static sdiff_status op_get4(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(sdi_pickle_number(m, 4, &slot));
    return memo_get(m, slot);
}

static sdiff_status take_slot_line(sdi_machine *m, uint64_t *slot)
{
    const char *text = NULL;
    uint64_t length = 0;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    *slot = 0;
    if (length == 0 || length > 10)
        return sdi_pickle_fail(m, "a memo slot that is no number");
    for (uint64_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return sdi_pickle_fail(m, "a memo slot that is no number");
        *slot = 10 * *slot + (uint64_t)(text[i] - '0');
    }
    return SDIFF_OK;
}

static sdiff_status op_put_line(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(take_slot_line(m, &slot));
    return memo_put(m, slot);
}

static sdiff_status op_get_line(sdi_machine *m)
{
    uint64_t slot = 0;
    SDI_TRY(take_slot_line(m, &slot));
    return memo_get(m, slot);
}

const sdi_opcode_fn sdi_pickle_stack_ops[256] = {
    [0x80] = op_protocol, [0x95] = op_frame,    ['.'] = op_stop,    ['('] = op_mark,
    ['0'] = op_pop,       ['1'] = op_pop_mark,  ['2'] = op_duplicate,
    ['q'] = op_put1,      ['r'] = op_put4,      [0x94] = op_memoize, ['p'] = op_put_line,
    ['h'] = op_get1,      ['j'] = op_get4,      ['g'] = op_get_line,
};

/* SPDX-License-Identifier: MIT
 *
 * Opcodes for tuples, lists, dicts and sets.
 */
#include "io/pickle_machine.h"

static sdiff_status push_items(sdi_machine *m, sdi_value_kind kind, sdi_value *const *items,
                               uint64_t count)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_new(m, kind, &value));
    SDI_TRY(sdi_pickle_append(m, value, items, count));
    return sdi_pickle_push(m, value);
}

static sdiff_status push_marked(sdi_machine *m, sdi_value_kind kind)
{
    sdi_value **items = NULL;
    uint64_t count = 0;
    SDI_TRY(sdi_pickle_pop_mark(m, &items, &count));
    if (kind == SDI_VALUE_DICT && count % 2 != 0)
        return sdi_pickle_fail(m, "a dict is given a key without a value");
    return push_items(m, kind, items, count);
}

static sdiff_status push_tuple(sdi_machine *m, int count)
{
    sdi_value *items[3] = {NULL};
    for (int i = count; i-- > 0;)
        SDI_TRY(sdi_pickle_pop(m, &items[i]));
    return push_items(m, SDI_VALUE_TUPLE, items, (uint64_t)count);
}

static sdiff_status op_tuple(sdi_machine *m)
{
    return push_marked(m, SDI_VALUE_TUPLE);
}

static sdiff_status op_tuple0(sdi_machine *m)
{
    return push_tuple(m, 0);
}

static sdiff_status op_tuple1(sdi_machine *m)
{
    return push_tuple(m, 1);
}

static sdiff_status op_tuple2(sdi_machine *m)
{
    return push_tuple(m, 2);
}

static sdiff_status op_tuple3(sdi_machine *m)
{
    return push_tuple(m, 3);
}

static sdiff_status op_list(sdi_machine *m)
{
    return push_marked(m, SDI_VALUE_LIST);
}

static sdiff_status op_empty_list(sdi_machine *m)
{
    return push_items(m, SDI_VALUE_LIST, NULL, 0);
}

static sdiff_status op_dict(sdi_machine *m)
{
    return push_marked(m, SDI_VALUE_DICT);
}

static sdiff_status op_empty_dict(sdi_machine *m)
{
    return push_items(m, SDI_VALUE_DICT, NULL, 0);
}

static sdiff_status op_empty_set(sdi_machine *m)
{
    return push_items(m, SDI_VALUE_SET, NULL, 0);
}

static sdiff_status op_frozen_set(sdi_machine *m)
{
    return push_marked(m, SDI_VALUE_SET);
}

/* Puts values into the container on top of the stack. What is not known in detail swallows them. */
static sdiff_status extend(sdi_machine *m, sdi_value_kind kind, sdi_value *const *values,
                           uint64_t count)
{
    sdi_value *target = NULL;
    SDI_TRY(sdi_pickle_peek(m, &target));
    if (target->kind == SDI_VALUE_OPAQUE)
        return SDIFF_OK;
    if (target->kind != kind)
        return sdi_pickle_fail(m, "items are put into something that cannot hold them");
    if (kind == SDI_VALUE_DICT && count % 2 != 0)
        return sdi_pickle_fail(m, "a dict is given a key without a value");
    return sdi_pickle_append(m, target, values, count);
}

static sdiff_status extend_marked(sdi_machine *m, sdi_value_kind kind)
{
    sdi_value **values = NULL;
    uint64_t count = 0;
    SDI_TRY(sdi_pickle_pop_mark(m, &values, &count));
    return extend(m, kind, values, count);
}

static sdiff_status op_append(sdi_machine *m)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_pop(m, &value));
    return extend(m, SDI_VALUE_LIST, &value, 1);
}

static sdiff_status op_set_item(sdi_machine *m)
{
    sdi_value *pair[2] = {NULL};
    SDI_TRY(sdi_pickle_pop(m, &pair[1]));
    SDI_TRY(sdi_pickle_pop(m, &pair[0]));
    return extend(m, SDI_VALUE_DICT, pair, 2);
}

static sdiff_status op_appends(sdi_machine *m)
{
    return extend_marked(m, SDI_VALUE_LIST);
}

static sdiff_status op_set_items(sdi_machine *m)
{
    return extend_marked(m, SDI_VALUE_DICT);
}

static sdiff_status op_add_items(sdi_machine *m)
{
    return extend_marked(m, SDI_VALUE_SET);
}

const sdi_opcode_fn sdi_pickle_container_ops[256] = {
    [')'] = op_tuple0,      ['t'] = op_tuple,       [0x85] = op_tuple1,    [0x86] = op_tuple2,
    [0x87] = op_tuple3,     ['l'] = op_list,        [']'] = op_empty_list, ['d'] = op_dict,
    ['}'] = op_empty_dict,  [0x8f] = op_empty_set,  [0x91] = op_frozen_set, ['a'] = op_append,
    ['e'] = op_appends,     ['s'] = op_set_item,    ['u'] = op_set_items,  [0x90] = op_add_items,
};

/* SPDX-License-Identifier: MIT
 *
 * Opcodes that name, call and fill objects.
 */
#include "io/pickle_machine.h"

#include <string.h>

/* The one sentence for everything that would run code. */
static sdiff_status refuse(const sdi_machine *m, const char *how, const char *name, uint64_t length)
{
    return sdi_fail(m->env, SDIFF_ERROR_FORMAT,
                    "%s: the pickle %s '%.*s', which does not build tensors: refused, nothing of "
                    "the file was executed",
                    m->name, how, (int)SDI_MIN(length, 200u), name);
}

static sdiff_status push_global(sdi_machine *m, const char *module, uint64_t module_length,
                                const char *name, uint64_t name_length)
{
    const uint64_t length = module_length + 1 + name_length;
    char *text = sdi_bump_alloc(m->env, m->memory, length);
    if (!text)
        return sdi_bump_status(m->memory);
    memcpy(text, module, (size_t)module_length);
    text[module_length] = '.';
    memcpy(text + module_length + 1, name, (size_t)name_length);
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_push_new(m, SDI_VALUE_GLOBAL, &value));
    value->text = text;
    value->length = length;
    value->tag = sdi_known_find(text, length);
    return SDIFF_OK;
}

static sdiff_status op_global(sdi_machine *m)
{
    const char *module = NULL, *name = NULL;
    uint64_t module_length = 0, name_length = 0;
    SDI_TRY(sdi_pickle_line(m, &module, &module_length));
    SDI_TRY(sdi_pickle_line(m, &name, &name_length));
    return push_global(m, module, module_length, name, name_length);
}

static sdiff_status op_stack_global(sdi_machine *m)
{
    sdi_value *module = NULL, *name = NULL;
    SDI_TRY(sdi_pickle_pop(m, &name));
    SDI_TRY(sdi_pickle_pop(m, &module));
    if (module->kind != SDI_VALUE_STRING || name->kind != SDI_VALUE_STRING)
        return sdi_pickle_fail(m, "a global is named by something that is not text");
    return push_global(m, module->text, module->length, name->text, name->length);
}

/* INST names what it calls; its arguments do not matter. */
static sdiff_status op_instance(sdi_machine *m)
{
    SDI_TRY(op_global(m));
    const sdi_value *class = m->stack[m->depth - 1];
    return refuse(m, "makes an instance of", class->text, class->length);
}

static sdiff_status op_object(sdi_machine *m)
{
    sdi_value **values = NULL;
    uint64_t count = 0;
    SDI_TRY(sdi_pickle_pop_mark(m, &values, &count));
    if (count == 0 || values[0]->kind != SDI_VALUE_GLOBAL)
        return sdi_pickle_fail(m, "an object of something that is not a class");
    return refuse(m, "makes an instance of", values[0]->text, values[0]->length);
}

static sdiff_status op_extension(sdi_machine *m)
{
    return sdi_fail(m->env, SDIFF_ERROR_FORMAT,
                    "%s: the pickle uses an extension code, which names something outside of the "
                    "file: refused, nothing of the file was executed", m->name);
}

static sdiff_status op_text_persistent(sdi_machine *m)
{
    return sdi_pickle_fail(m, "a persistent id as text, which torch does not write");
}

/* A dict, of pairs if they are given: ([(key, value), …],). */
static sdiff_status make_dict(sdi_machine *m, const sdi_value *arguments, sdi_value **result)
{
    SDI_TRY(sdi_pickle_new(m, SDI_VALUE_DICT, result));
    const sdi_value *pairs = arguments->count ? arguments->items[0] : NULL;
    if (!pairs || pairs->kind != SDI_VALUE_LIST)
        return SDIFF_OK;
    for (uint64_t i = 0; i < pairs->count; i++) {
        const sdi_value *pair = pairs->items[i];
        if ((pair->kind != SDI_VALUE_TUPLE && pair->kind != SDI_VALUE_LIST) || pair->count != 2)
            return sdi_pickle_fail(m, "a dict is made of something that is not a pair");
        SDI_TRY(sdi_pickle_append(m, *result, pair->items, 2));
    }
    return SDIFF_OK;
}

static sdiff_status make_object(sdi_machine *m, sdi_value *class, sdi_value **result)
{
    SDI_TRY(sdi_pickle_new(m, SDI_VALUE_OBJECT, result));
    return sdi_pickle_append(m, *result, &class, 1);
}

static sdiff_status check_call(sdi_machine *m, const sdi_value *callable,
                               const sdi_value *arguments)
{
    if (callable->kind != SDI_VALUE_GLOBAL)
        return sdi_pickle_fail(m, "something is called that is not a global");
    if (callable->tag < 0 || sdi_known_at(callable->tag)->action == SDI_KNOWN_STORAGE)
        return refuse(m, "calls", callable->text, callable->length);
    if (arguments->kind != SDI_VALUE_TUPLE)
        return sdi_pickle_fail(m, "a call without a tuple of arguments");
    return SDIFF_OK;
}

/* _rebuild_from_type_v2(function, type, arguments, state): one level, the state being of no
 * interest. */
static sdiff_status call_inner(sdi_machine *m, const sdi_value *arguments, sdi_value **result)
{
    if (arguments->count != 4)
        return sdi_pickle_fail(m, "a tensor of a type is built from %llu values, 4 are needed",
                               (unsigned long long)arguments->count);
    const sdi_value *function = arguments->items[0], *inner = arguments->items[2];
    SDI_TRY(check_call(m, function, inner));
    if (sdi_known_at(function->tag)->action != SDI_KNOWN_TENSOR)
        return refuse(m, "calls", function->text, function->length);
    return sdi_pickle_tensor_of(m, inner, result);
}

static sdiff_status call(sdi_machine *m, sdi_value *callable, const sdi_value *arguments,
                         sdi_value **result)
{
    SDI_TRY(check_call(m, callable, arguments));
    switch (sdi_known_at(callable->tag)->action) {
    case SDI_KNOWN_DICT: return make_dict(m, arguments, result);
    case SDI_KNOWN_TENSOR: return sdi_pickle_tensor_of(m, arguments, result);
    case SDI_KNOWN_FROM_TYPE: return call_inner(m, arguments, result);
    case SDI_KNOWN_OBJECT: return make_object(m, callable, result);
    case SDI_KNOWN_OPAQUE: return sdi_pickle_new(m, SDI_VALUE_OPAQUE, result);
    case SDI_KNOWN_PARAMETER:
        if (arguments->count == 0 || arguments->items[0]->kind != SDI_VALUE_TENSOR)
            return sdi_pickle_fail(m, "a parameter is built from something that is not a tensor");
        *result = arguments->items[0];
        return SDIFF_OK;
    case SDI_KNOWN_STORAGE: break; // refused above
    }
    return refuse(m, "calls", callable->text, callable->length);
}

/* REDUCE, and NEWOBJ, which differs only in how Python makes the object. */
static sdiff_status op_reduce(sdi_machine *m)
{
    sdi_value *callable = NULL, *arguments = NULL, *result = NULL;
    SDI_TRY(sdi_pickle_pop(m, &arguments));
    SDI_TRY(sdi_pickle_pop(m, &callable));
    SDI_TRY(call(m, callable, arguments, &result));
    return sdi_pickle_push(m, result);
}

static sdiff_status op_new_object_with_keywords(sdi_machine *m)
{
    sdi_value *keywords = NULL;
    SDI_TRY(sdi_pickle_pop(m, &keywords));
    return op_reduce(m);
}

/* Attributes like __class__ would change what an object is. */
static sdiff_status check_attributes(sdi_machine *m, const sdi_value *state)
{
    if (state->kind != SDI_VALUE_DICT)
        return SDIFF_OK;
    for (uint64_t i = 0; i < state->count; i += 2) {
        const sdi_value *key = state->items[i];
        if (key->kind == SDI_VALUE_STRING && key->length >= 2 && memcmp(key->text, "__", 2) == 0)
            return refuse(m, "sets the attribute", key->text, key->length);
    }
    return SDIFF_OK;
}

static sdiff_status op_build(sdi_machine *m)
{
    sdi_value *state = NULL, *target = NULL;
    SDI_TRY(sdi_pickle_pop(m, &state));
    SDI_TRY(sdi_pickle_peek(m, &target));
    SDI_TRY(check_attributes(m, state));
    switch (target->kind) {
    case SDI_VALUE_OBJECT: return sdi_pickle_append(m, target, &state, 1);
    case SDI_VALUE_DICT: // an OrderedDict's own attributes, such as _metadata of a state dict
    case SDI_VALUE_TENSOR:
    case SDI_VALUE_OPAQUE: return SDIFF_OK;
    case SDI_VALUE_GLOBAL: return refuse(m, "sets attributes of", target->text, target->length);
    default: return sdi_pickle_fail(m, "attributes are set on something that has none");
    }
}

static sdiff_status op_persistent(sdi_machine *m)
{
    sdi_value *id = NULL, *result = NULL;
    SDI_TRY(sdi_pickle_pop(m, &id));
    SDI_TRY(sdi_pickle_storage_of(m, id, &result));
    return sdi_pickle_push(m, result);
}

const sdi_opcode_fn sdi_pickle_object_ops[256] = {
    ['c'] = op_global,      [0x93] = op_stack_global, ['i'] = op_instance,
    ['o'] = op_object,      [0x82] = op_extension,    [0x83] = op_extension,
    [0x84] = op_extension,  ['P'] = op_text_persistent,
    ['Q'] = op_persistent,  ['R'] = op_reduce,        [0x81] = op_reduce,
    [0x92] = op_new_object_with_keywords,             ['b'] = op_build,
};

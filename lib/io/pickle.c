/* SPDX-License-Identifier: MIT
 *
 * The pickle machine: stack, marks, memory, and the loop over opcodes.
 */
#include "io/pickle.h"

#include "base/memory.h"
#include "io/pickle_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Values may take so many bytes for each byte of the pickle, which is more than any opcode can
 * make of it in good faith, and no more than the limit in all. */
static const uint64_t MEMORY_PER_BYTE = 128, MEMORY_LIMIT = 1u << 30;

sdiff_status sdi_pickle_fail(const sdi_machine *m, const char *format, ...)
{
    char text[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return sdi_fail(m->env, SDIFF_ERROR_FORMAT, "%s: damaged pickle at byte %llu: %s", m->name,
                    (unsigned long long)m->at, text);
}

sdiff_status sdi_pickle_take(sdi_machine *m, uint64_t size, const unsigned char **bytes)
{
    if (size > m->size - m->at)
        return sdi_pickle_fail(m, "%llu bytes are needed, %llu are left", (unsigned long long)size,
                               (unsigned long long)(m->size - m->at));
    *bytes = m->bytes + m->at;
    m->at += size;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_number(sdi_machine *m, int size, uint64_t *number)
{
    const unsigned char *p = NULL;
    SDI_TRY(sdi_pickle_take(m, (uint64_t)size, &p));
    *number = 0;
    for (int i = 0; i < size; i++)
        *number |= (uint64_t)p[i] << 8 * i;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_line(sdi_machine *m, const char **text, uint64_t *length)
{
    const unsigned char *start = m->bytes + m->at;
    const unsigned char *end = memchr(start, '\n', (size_t)(m->size - m->at));
    if (!end)
        return sdi_pickle_fail(m, "a line does not end");
    *text = (const char *)start;
    *length = (uint64_t)(end - start);
    m->at += *length + 1;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_push(sdi_machine *m, sdi_value *value)
{
    SDI_TRY(sdi_grow(m->env, &m->stack, m->depth, &m->stack_capacity, sizeof *m->stack));
    m->stack[m->depth++] = value;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_peek(sdi_machine *m, sdi_value **value)
{
    const uint64_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->depth <= floor)
        return sdi_pickle_fail(m, "a value is taken from an empty stack");
    *value = m->stack[m->depth - 1];
    return SDIFF_OK;
}

sdiff_status sdi_pickle_pop(sdi_machine *m, sdi_value **value)
{
    SDI_TRY(sdi_pickle_peek(m, value));
    m->depth--;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_pop_mark(sdi_machine *m, sdi_value ***values, uint64_t *count)
{
    if (m->mark_count == 0)
        return sdi_pickle_fail(m, "a mark is needed and none was set");
    const uint64_t floor = m->marks[--m->mark_count];
    *values = m->stack ? m->stack + floor : NULL; // no stack before the first push
    *count = m->depth - floor;
    m->depth = floor;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_new(sdi_machine *m, sdi_value_kind kind, sdi_value **value)
{
    *value = sdi_bump_alloc(m->env, m->memory, sizeof **value);
    if (!*value)
        return sdi_bump_status(m->memory);
    memset(*value, 0, sizeof **value);
    (*value)->kind = kind;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_push_new(sdi_machine *m, sdi_value_kind kind, sdi_value **value)
{
    SDI_TRY(sdi_pickle_new(m, kind, value));
    return sdi_pickle_push(m, *value);
}

sdiff_status sdi_pickle_push_text(sdi_machine *m, sdi_value_kind kind, const void *text,
                                  uint64_t length)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_push_new(m, kind, &value));
    value->text = text;
    value->length = length;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_append(sdi_machine *m, sdi_value *list, sdi_value *const *values,
                               uint64_t count)
{
    if (count > list->capacity - list->count) {
        const uint64_t capacity = SDI_MAX(list->count + count, 2 * list->capacity);
        sdi_value **items = sdi_bump_alloc(m->env, m->memory, capacity * sizeof *items);
        if (!items)
            return sdi_bump_status(m->memory);
        if (list->count)
            memcpy(items, list->items, (size_t)list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    if (count)
        memcpy(list->items + list->count, values, (size_t)count * sizeof *values);
    list->count += count;
    return SDIFF_OK;
}

static sdi_opcode_fn opcode_of(unsigned char code)
{
    const sdi_opcode_fn *const tables[] = {sdi_pickle_scalar_ops, sdi_pickle_stack_ops,
                                           sdi_pickle_container_ops, sdi_pickle_object_ops};
    for (size_t i = 0; i < SDI_COUNT(tables); i++)
        if (tables[i][code])
            return tables[i][code];
    return NULL;
}

static sdiff_status run(sdi_machine *m, sdi_pickle *out)
{
    while (!m->stopped) {
        const unsigned char *code = NULL;
        if (m->at == m->size)
            return sdi_pickle_fail(m, "it ends without its final opcode");
        SDI_TRY(sdi_pickle_take(m, 1, &code));
        const sdi_opcode_fn fn = opcode_of(*code);
        if (!fn)
            return sdi_pickle_fail(m, "unknown opcode 0x%02x", *code);
        SDI_TRY(fn(m));
    }
    sdi_value *root = NULL;
    SDI_TRY(sdi_pickle_pop(m, &root));
    out->root = root;
    out->size = m->at;
    out->storages = m->storages;
    return SDIFF_OK;
}

sdiff_status sdi_pickle_read(const sdi_env *env, const char *name, const unsigned char *bytes,
                             uint64_t size, sdi_pickle *out)
{
    memset(out, 0, sizeof *out);
    sdi_bump_init(&out->memory,
                  SDI_MIN(MEMORY_LIMIT, SDI_MIN(size, MEMORY_LIMIT) * MEMORY_PER_BYTE + 4096));
    sdi_machine m = {.env = env, .name = name, .bytes = bytes, .size = size};
    m.memory = &out->memory;
    const sdiff_status status = run(&m, out);
    sdi_free(env, m.stack);
    sdi_free(env, m.marks);
    sdi_free(env, m.memo);
    if (status != SDIFF_OK)
        sdi_pickle_free(env, out);
    return status;
}

void sdi_pickle_free(const sdi_env *env, sdi_pickle *pickle)
{
    sdi_bump_free(env, &pickle->memory);
    memset(pickle, 0, sizeof *pickle);
}

int sdi_value_is_text(const sdi_value *value, const char *text)
{
    return value->kind == SDI_VALUE_STRING && value->length == strlen(text) &&
           memcmp(value->text, text, (size_t)value->length) == 0;
}

const sdi_value *sdi_dict_get(const sdi_value *dict, const char *key)
{
    for (uint64_t i = 0; i + 1 < dict->count; i += 2)
        if (sdi_value_is_text(dict->items[i], key))
            return dict->items[i + 1];
    return NULL;
}

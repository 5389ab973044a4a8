/* SPDX-License-Identifier: MIT
 *
 * Opcodes for numbers and strings.
 */
#include "io/pickle_machine.h"

#include <string.h>

static sdiff_status push_int(sdi_machine *m, int64_t integer)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_push_new(m, SDI_VALUE_INT, &value));
    value->integer = integer;
    return SDIFF_OK;
}

static sdiff_status push_bool(sdi_machine *m, int truth)
{
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_push_new(m, SDI_VALUE_BOOL, &value));
    value->integer = truth;
    return SDIFF_OK;
}

static sdiff_status op_none(sdi_machine *m)
{
    sdi_value *value = NULL;
    return sdi_pickle_push_new(m, SDI_VALUE_NONE, &value);
}

static sdiff_status op_true(sdi_machine *m)
{
    return push_bool(m, 1);
}

static sdiff_status op_false(sdi_machine *m)
{
    return push_bool(m, 0);
}

static sdiff_status op_int1(sdi_machine *m)
{
    uint64_t number = 0;
    SDI_TRY(sdi_pickle_number(m, 1, &number));
    return push_int(m, (int64_t)number);
}

static sdiff_status op_int2(sdi_machine *m)
{
    uint64_t number = 0;
    SDI_TRY(sdi_pickle_number(m, 2, &number));
    return push_int(m, (int64_t)number);
}

static sdiff_status op_int4(sdi_machine *m)
{
    uint64_t number = 0;
    SDI_TRY(sdi_pickle_number(m, 4, &number));
    return push_int(m, (int32_t)number);
}

/* Two's complement of any length. */
static sdiff_status push_long(sdi_machine *m, uint64_t size)
{
    const unsigned char *p = NULL;
    SDI_TRY(sdi_pickle_take(m, size, &p));
    if (size > 8)
        return sdi_pickle_push_text(m, SDI_VALUE_LONG, p, size);
    uint64_t bits = size > 0 && p[size - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint64_t i = size; i-- > 0;)
        bits = bits << 8 | p[i];
    return push_int(m, (int64_t)bits);
}

static sdiff_status op_long1(sdi_machine *m)
{
    uint64_t size = 0;
    SDI_TRY(sdi_pickle_number(m, 1, &size));
    return push_long(m, size);
}

static sdiff_status op_long4(sdi_machine *m)
{
    uint64_t size = 0;
    SDI_TRY(sdi_pickle_number(m, 4, &size));
    if (size > INT32_MAX)
        return sdi_pickle_fail(m, "an integer of negative length");
    return push_long(m, size);
}

/* Decimal digits; a number beyond 64 bits is kept without its value. */
static sdiff_status push_decimal(sdi_machine *m, const char *text, uint64_t length)
{
    const int negative = length > 0 && text[0] == '-';
    uint64_t magnitude = 0, i = negative || (length > 0 && text[0] == '+');
    int fits = 1;
    if (i == length)
        return sdi_pickle_fail(m, "an integer without digits");
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return sdi_pickle_fail(m, "'%.*s' is not an integer", (int)SDI_MIN(length, 40u), text);
        fits = fits && magnitude <= (INT64_MAX - 9) / 10;
        magnitude = 10 * magnitude + (uint64_t)(text[i] - '0');
    }
    if (!fits) {
        sdi_value *value = NULL;
        return sdi_pickle_push_new(m, SDI_VALUE_NUMBER, &value);
    }
    return push_int(m, negative ? -(int64_t)magnitude : (int64_t)magnitude);
}

static sdiff_status op_int_line(sdi_machine *m)
{
    const char *text = NULL;
    uint64_t length = 0;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    if (length == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
        return push_bool(m, text[1] == '1'); // how protocol 0 writes truth
    return push_decimal(m, text, length);
}

static sdiff_status op_long_line(sdi_machine *m)
{
    const char *text = NULL;
    uint64_t length = 0;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    return push_decimal(m, text, length > 0 && text[length - 1] == 'L' ? length - 1 : length);
}

static sdiff_status op_float(sdi_machine *m)
{
    const unsigned char *p = NULL;
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_take(m, 8, &p));
    return sdi_pickle_push_new(m, SDI_VALUE_NUMBER, &value);
}

static sdiff_status op_float_line(sdi_machine *m)
{
    const char *text = NULL;
    uint64_t length = 0;
    sdi_value *value = NULL;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    for (uint64_t i = 0; i < length; i++)
        if (!memchr("0123456789+-.eEinfa", text[i], 19))
            return sdi_pickle_fail(m, "'%.*s' is not a number", (int)SDI_MIN(length, 40u), text);
    return sdi_pickle_push_new(m, SDI_VALUE_NUMBER, &value);
}

static sdiff_status push_counted(sdi_machine *m, sdi_value_kind kind, int size_of_length)
{
    uint64_t length = 0;
    const unsigned char *p = NULL;
    SDI_TRY(sdi_pickle_number(m, size_of_length, &length));
    SDI_TRY(sdi_pickle_take(m, length, &p));
    return sdi_pickle_push_text(m, kind, p, length);
}

static sdiff_status op_string1(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_STRING, 1);
}

static sdiff_status op_string4(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_STRING, 4);
}

static sdiff_status op_string8(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_STRING, 8);
}

static sdiff_status op_bytes1(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_BYTES, 1);
}

static sdiff_status op_bytes4(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_BYTES, 4);
}

static sdiff_status op_bytes8(sdi_machine *m)
{
    return push_counted(m, SDI_VALUE_BYTES, 8);
}

static sdiff_status op_unicode_line(sdi_machine *m)
{
    const char *text = NULL;
    uint64_t length = 0;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    return sdi_pickle_push_text(m, SDI_VALUE_STRING, text, length);
}

/* 'text' in quotes; escapes are left as they are. */
static sdiff_status op_string_line(sdi_machine *m)
{
    const char *text = NULL;
    uint64_t length = 0;
    SDI_TRY(sdi_pickle_line(m, &text, &length));
    if (length < 2 || (text[0] != '\'' && text[0] != '"') || text[length - 1] != text[0])
        return sdi_pickle_fail(m, "a string without its quotes");
    return sdi_pickle_push_text(m, SDI_VALUE_STRING, text + 1, length - 2);
}

const sdi_opcode_fn sdi_pickle_scalar_ops[256] = {
    ['N'] = op_none,         [0x88] = op_true,     [0x89] = op_false,   ['K'] = op_int1,
    ['M'] = op_int2,         ['J'] = op_int4,      [0x8a] = op_long1,   [0x8b] = op_long4,
    ['I'] = op_int_line,     ['L'] = op_long_line, ['G'] = op_float,    ['F'] = op_float_line,
    ['U'] = op_string1,      ['T'] = op_string4,   [0x8c] = op_string1, ['X'] = op_string4,
    [0x8d] = op_string8,     ['C'] = op_bytes1,    ['B'] = op_bytes4,   [0x8e] = op_bytes8,
    ['V'] = op_unicode_line, [0x96] = op_bytes8,   ['S'] = op_string_line,
};

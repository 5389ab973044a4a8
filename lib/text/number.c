/* SPDX-License-Identifier: MIT
 *
 * Decimal numbers. Up to 19 digits are kept; the result is correctly rounded for what people write
 * and within one unit in the last place elsewhere.
 */
#include "text/number.h"

#include <math.h>

typedef struct decimal {
    uint64_t mantissa;
    int32_t power; // of ten
    int digits;    // 0: none was read
} decimal;

static int is_digit(int32_t code)
{
    return code >= '0' && code <= '9';
}

static size_t read_digits(const int32_t *codes, size_t count, int fraction, decimal *d)
{
    size_t i = 0;
    for (; i < count && is_digit(codes[i]); i++) {
        const int room = d->mantissa < UINT64_MAX / 10 - 1;
        if (room)
            d->mantissa = d->mantissa * 10 + (uint64_t)(codes[i] - '0');
        d->power += !fraction && !room;
        d->power -= fraction && room;
        d->digits = 1;
    }
    return i;
}

/* "e+12" at codes[0]; 0 if there is none. */
static size_t read_exponent(const int32_t *codes, size_t count, decimal *d)
{
    enum { LARGEST = 100000 };
    if (count < 2 || (codes[0] != 'e' && codes[0] != 'E'))
        return 0;
    size_t i = 1;
    const int32_t sign = codes[1] == '-' ? -1 : 1;
    i += codes[1] == '-' || codes[1] == '+';
    const size_t first = i;
    int32_t power = 0;
    for (; i < count && is_digit(codes[i]); i++)
        power = power < LARGEST ? power * 10 + (codes[i] - '0') : LARGEST;
    if (i == first)
        return 0;
    d->power += sign * power;
    return i;
}

static double to_double(const decimal *d)
{
    if (d->mantissa == 0)
        return 0;
    const long double ten = powl(10.0L, d->power < 0 ? -(long double)d->power : d->power);
    const long double m = (long double)d->mantissa;
    return (double)(d->power < 0 ? m / ten : m * ten);
}

size_t sdi_read_decimal(const int32_t *codes, size_t count, int exponent, double *value)
{
    size_t i = 0;
    decimal d = {0};
    const int negative = count > 0 && codes[0] == '-';
    if (count > 0 && (codes[0] == '-' || codes[0] == '+'))
        i++;
    i += read_digits(codes + i, count - i, 0, &d);
    if (i < count && codes[i] == '.') {
        const int whole = d.digits;
        const size_t fraction = read_digits(codes + i + 1, count - i - 1, 1, &d);
        if (whole || fraction)
            i += 1 + fraction;
    }
    if (!d.digits)
        return 0;
    if (exponent)
        i += read_exponent(codes + i, count - i, &d);
    *value = negative ? -to_double(&d) : to_double(&d);
    return i;
}

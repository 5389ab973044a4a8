/* SPDX-License-Identifier: MIT
 *
 * What the command-line tools share. They never call setlocale(), so strtod reads the C locale.
 */
#include "common.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int exit_code(sdiff_status status)
{
    switch (status) {
    case SDIFF_OK: return EXIT_SUCCESS;
    case SDIFF_ERROR_INVALID_ARGUMENT: return EXIT_USAGE;
    case SDIFF_ERROR_IO: return EXIT_IO;
    case SDIFF_ERROR_FORMAT: return EXIT_FORMAT;
    case SDIFF_ERROR_MISMATCH: return EXIT_MISMATCH;
    case SDIFF_ERROR_UNSUPPORTED: return EXIT_UNSUPPORTED;
    case SDIFF_ERROR_NO_MEMORY:
    case SDIFF_ERROR_LIMIT: return EXIT_MEMORY;
    case SDIFF_ERROR_CANCELLED: return EXIT_CANCELLED;
    default: return EXIT_INTERNAL;
    }
}

int complain(const char *program, sdiff_status status, const char *sentence)
{
    fprintf(stderr, "%s: %s\n", program,
            sentence && *sentence ? sentence : sdiff_status_string(status));
    return exit_code(status);
}

int parse_int(const char *text, long long low, long long high, long long *value)
{
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || number < low || number > high)
        return 0;
    *value = number;
    return 1;
}

int parse_real(const char *text, double *value)
{
    char *end = NULL;
    const double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number))
        return 0;
    *value = number;
    return 1;
}

void split_scale(char *text, double *scale)
{
    char *colon = strrchr(text, ':');
    if (colon && colon != text && parse_real(colon + 1, scale))
        *colon = '\0';
}

void split_numbers(char *text, double *values, int most)
{
    char *first = text + strlen(text);
    int count = 0;
    for (; count < most; count++) { // from the end
        char *colon = first - 1;
        double ignored = 0;
        while (colon > text && *colon != ':')
            colon--;
        if (colon <= text || !parse_real(colon + 1, &ignored))
            break;
        *colon = '\0';
        first = colon;
    }
    for (int i = 0; i < count; i++) {
        parse_real(first + 1, &values[i]);
        first += 1 + strlen(first + 1);
    }
}

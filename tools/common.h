/* SPDX-License-Identifier: MIT
 *
 * What the command-line tools share: exit codes, errors, numbers in arguments.
 */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stablediff/stablediff.h>

/* Exit codes by kind of failure. */
enum {
    EXIT_USAGE = 2,       // unknown flags, values out of range
    EXIT_IO = 3,          // a file cannot be read or written
    EXIT_FORMAT = 4,      // a file is damaged
    EXIT_MISMATCH = 5,    // weights do not fit
    EXIT_UNSUPPORTED = 6, // valid, but not possible here
    EXIT_MEMORY = 7,      // not enough memory, or a limit
    EXIT_CANCELLED = 8,   // interrupted
    EXIT_INTERNAL = 9
};

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

int exit_code(sdiff_status status);

/* One sentence on stderr, "PROGRAM: sentence"; returns the exit code. */
int complain(const char *program, sdiff_status status, const char *sentence);

/* The whole of text as a number of the C locale; 0 where it is none or out of range. */
int parse_int(const char *text, long long low, long long high, long long *value);
int parse_real(const char *text, double *value); // finite only
/* "FILE:0.8" is cut at the colon; scale stays where no number is behind the last one. */
void split_scale(char *text, double *scale);
/* "FILE:0.8:0:0.5" is cut at the colons in front of up to `most` numbers, which go to
 * values[0] … */
void split_numbers(char *text, double *values, int most);

#endif

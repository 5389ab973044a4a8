/* SPDX-License-Identifier: MIT
 *
 * Numbers in prompts, read without regard to the host's locale.
 */
#ifndef SDI_TEXT_NUMBER_H
#define SDI_TEXT_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* The longest number at codes[0]: sign, digits with at most one point, and where `exponent` is
 * set an exponent. Returns how many code points it takes, 0 if there is none. */
size_t sdi_read_decimal(const int32_t *codes, size_t count, int exponent, double *value);

#endif

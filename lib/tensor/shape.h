/* SPDX-License-Identifier: MIT
 *
 * Shapes as sentences show them.
 */
#ifndef SDI_TENSOR_SHAPE_H
#define SDI_TENSOR_SHAPE_H

#include <stddef.h>
#include <stdint.h>

enum { SDI_SHAPE_TEXT = 160 };

/* "[320, 4, 3, 3]" into text, which is returned. */
const char *sdi_shape_text(char *text, size_t size, int32_t rank, const int64_t *shape);
/* The rank without ones at the end: a 1x1 convolution is a linear layer. */
int32_t sdi_shape_rank(int32_t rank, const int64_t *shape);

#endif

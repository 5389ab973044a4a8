/* SPDX-License-Identifier: MIT
 *
 * Shapes as sentences show them.
 */
#include "tensor/shape.h"

#include <stdio.h>

const char *sdi_shape_text(char *text, size_t size, int32_t rank, const int64_t *shape)
{
    size_t length = (size_t)snprintf(text, size, "[");
    for (int32_t i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? ", " : "",
                                   (long long)shape[i]);
    if (length < size)
        snprintf(text + length, size - length, "]");
    return text;
}

int32_t sdi_shape_rank(int32_t rank, const int64_t *shape)
{
    while (rank > 0 && shape[rank - 1] == 1)
        rank--;
    return rank;
}

/* SPDX-License-Identifier: MIT
 *
 * What the fuzz targets share.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A small tokenizer. */
#define FUZZ_VOCAB                                                                                 \
    "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\",</w>\":4,\"ab\":5,\"ab</w>\":6,"                  \
    "\"<|startoftext|>\":7,\"<|endoftext|>\":8}"
#define FUZZ_MERGES "#version: 0.2\na b\na b</w>\n"

#endif

/* SPDX-License-Identifier: MIT
 *
 * Seeded noise that matches what people's seeds mean elsewhere: PyTorch's CPU generator (mt19937)
 * and the counter-based Philox that reproduces torch.randn on CUDA.
 */
#ifndef SDI_SAMPLE_RANDOM_H
#define SDI_SAMPLE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef enum sdi_rng { SDI_RNG_TORCH = 0, SDI_RNG_PHILOX = 1 } sdi_rng;

typedef struct sdi_random {
    sdi_rng kind;
    uint64_t seed;
    uint32_t state[624]; // mt19937
    int32_t index;
    int32_t has_cached; // the scalar path of torch.randn keeps the second Box-Muller value
    double cached;
    uint32_t offset; // Philox: one more per call
} sdi_random;

void sdi_random_init(sdi_random *random, sdi_rng kind, uint64_t seed);
/* One call of torch.randn(count): the bits depend on how numbers are grouped into calls. */
void sdi_random_normal(sdi_random *random, float *out, size_t count);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Few rows times a panel: the rows are read where they are, the panel line by line in the order of
 * memory, in short ranges of k, each for two rows after the other. Terms are added in the order of
 * k, as in a tile: a row has the same bits however many rows there are. Included by tile_<isa>.c
 * after vec_<isa>.h.
 */
enum {
    FEW_K = 32, // so short that lines of the next range are asked for meanwhile
    FEW_VECS = PANEL / VEC
};

static inline __attribute__((always_inline)) void add_rows(const float *a, int64_t pitch,
                                                           const int rows, const float *b,
                                                           int64_t k, float *c)
{
    vec sums[2][FEW_VECS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < FEW_VECS; v++)
            sums[r][v] = vec_loadu(c + r * PANEL + v * VEC);
    for (int64_t i = 0; i < k; i++) {
        vec x[2];
        for (int r = 0; r < rows; r++)
            x[r] = vec_set(a[r * pitch + i]);
        for (int v = 0; v < FEW_VECS; v++) {
            const vec lanes = vec_loadu(b + i * PANEL + v * VEC);
            for (int r = 0; r < rows; r++)
                sums[r][v] = vec_fma(x[r], lanes, sums[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < FEW_VECS; v++)
            vec_storeu(c + r * PANEL + v * VEC, sums[r][v]);
}

static void few_rows(const float *a, int64_t pitch, int32_t rows, const float *b, int64_t k,
                     float *c)
{
    memset(c, 0, (size_t)rows * PANEL * sizeof *c);
    for (int64_t k0 = 0; k0 < k; k0 += FEW_K) {
        const int64_t count = SDI_MIN(FEW_K, k - k0);
        int32_t row = 0;
        for (; row + 2 <= rows; row += 2)
            add_rows(a + row * pitch + k0, pitch, 2, b + k0 * PANEL, count, c + row * PANEL);
        if (row < rows)
            add_rows(a + row * pitch + k0, pitch, 1, b + k0 * PANEL, count, c + row * PANEL);
    }
}

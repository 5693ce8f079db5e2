/* The passes through a recurrent layer, as functions of its kind and its precision, which are constants where they become a
   part of forward_fp32, forward_bf16 and their like; recurrence.c includes this.

   `sums` are the sums of up to ROWS rows and PANELS panels of LANES units each, in registers. */

#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 11 : defined(__GNUC__) && __GNUC__ >= 11)
#include <immintrin.h>
#define COMPILES_BF16
#define USES_BF16 __attribute__((target("avx512bf16,avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,fma,bmi,bmi2")))
#endif

/* sums[r][p] += sum over k of a[r][k] w[p][k], for `rows` rows of a and `panels` panels of w that fit. */
typedef void Product(floats sums[ROWS][PANELS], const void *a, int64_t stride, const void *w, int64_t panel, int64_t K, int64_t rows,
                     int64_t panels);

/* A call of `tile` in which the numbers of rows and panels are constants. */
#define CASE(tile, r, p) case r * 8 + p: tile(sums, a, stride, w, panel, K, r, p); break;
#define CASES(tile, p) CASE(tile, 1, p) CASE(tile, 2, p) CASE(tile, 3, p) CASE(tile, 4, p) CASE(tile, 5, p) CASE(tile, 6, p)
#define TILE_OF_CONSTANTS(tile) \
    switch (rows * 8 + panels) { CASES(tile, 1) CASES(tile, 2) CASES(tile, 3) CASES(tile, 4) }

INSIDE void copy_sums(floats to[ROWS][PANELS], floats from[ROWS][PANELS], const int rows, const int panels) {
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) to[r][p] = from[r][p];
}

INSIDE void tile_fp32(floats sums[ROWS][PANELS], const float *a, int64_t stride, const float *w, int64_t panel, int64_t K,
                      const int rows, const int panels) {
    floats s[ROWS][PANELS];
    copy_sums(s, sums, rows, panels);
    for (int64_t k = 0; k < K; k++) {
        floats v[PANELS];
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) v[p] = AT(w + p * panel + k * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) s[r][p] += a[r * stride + k] * v[p];
    }
    copy_sums(sums, s, rows, panels);
}

FOR_EACH_PROCESSOR
static void product_fp32(floats sums[ROWS][PANELS], const void *a, int64_t stride, const void *w, int64_t panel, int64_t K,
                         int64_t rows, int64_t panels) {
    TILE_OF_CONSTANTS(tile_fp32)
}

#ifdef COMPILES_BF16
/* A panel holds two neighbouring k of a unit, then two of the next. */
USES_BF16 INSIDE void tile_bf16(floats sums[ROWS][PANELS], const uint16_t *a, int64_t stride, const uint16_t *w, int64_t panel,
                                int64_t K, const int rows, const int panels) {
    floats s[ROWS][PANELS];
    copy_sums(s, sums, rows, panels);
    for (int64_t k = 0; k < K; k += 2) {
        floats v[PANELS];
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) v[p] = AT((float *)(w + p * panel + k * LANES));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            int pair;
            memcpy(&pair, a + r * stride + k, sizeof pair);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) s[r][p] = (floats)_mm512_dpbf16_ps((__m512)s[r][p], both, (__m512bh)v[p]);
        }
    }
    copy_sums(sums, s, rows, panels);
}

USES_BF16
static void product_bf16(floats sums[ROWS][PANELS], const void *a, int64_t stride, const void *w, int64_t panel, int64_t K,
                         int64_t rows, int64_t panels) {
    TILE_OF_CONSTANTS(tile_bf16)
}
#endif

/* One thread's blocks of units through all time; `kind` is a constant. */
INSIDE void forward_of(const int kind, const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    const int64_t B = layer->rows, T = layer->time, H = layer->hidden, P = padded(H), S = bytes_of(bf16);
    const int64_t G = kind == LSTM ? 4 : kind == GRU ? 3 : 1, at_once = kind == RNN ? PANELS : 1;
    const int64_t first = share(P / LANES, me, all), last = share(P / LANES, me + 1, all);
    const int64_t row_tiles = (B + ROWS - 1) / ROWS;
    const Scratch scratch = scratch_of(layer);
    for (int64_t block = first; block < last; block++) {
        const int64_t unit = block * LANES, count = H - unit < LANES ? H - unit : LANES;
        pack_forward((char *)scratch.packed + block * G * P * LANES * S, layer, unit, G, bf16);
        for (int64_t b = 0; b < B; b++) {
            floats h = get_some(layer->h_before, b * H + unit, count, 0);
            put(scratch.inputs[0], b * P + unit, h, bf16);
            AT(scratch.carry + b * P + unit) = kind == LSTM ? get_some(layer->c_before, b * H + unit, count, 0) : h;
        }
    }
    meet(meeting, all);
    for (int64_t t = 0; t < T; t++) {
        const void *read = scratch.inputs[t % 2];
        void *written = scratch.inputs[(t + 1) % 2];
        for (int64_t block = first; block < last; block += at_once) {
            const int64_t blocks = last - block < at_once ? last - block : at_once, panels = blocks * G;
            const char *panel_at = (char *)scratch.packed + block * G * P * LANES * S;
            for (int64_t tile = 0; tile < row_tiles; tile++) {
                const int64_t begin = share(B, tile, row_tiles), rows = share(B, tile + 1, row_tiles) - begin;
                floats tile_sums[ROWS][PANELS], n[ROWS];
                for (int64_t r = 0; r < rows; r++) {
                    const int64_t token = (begin + r) * T + t, row = (layer->ids ? layer->ids[token] : token) * G * H;
                    for (int64_t p = 0; p < panels; p++) {
                        const int64_t unit = (block + p / G) * LANES, g = p % G;
                        const int64_t count = H - unit < LANES ? H - unit : LANES;
                        floats x = layer->x_is_bf16 ? get_some(layer->x, row + g * H + unit, count, 1)
                                                    : get_some(layer->x, row + g * H + unit, count, 0);
                        if (kind == GRU) {
                            floats b = get_some(layer->b_hh, g * H + unit, count, 0);
                            if (g == 2) n[r] = x, x = b;
                            else x += b;
                        }
                        tile_sums[r][p] = x;
                    }
                }
                product(tile_sums, (char *)read + begin * P * S, P, panel_at, P * LANES, P, rows, panels);
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t own = 0; own < blocks; own++) {
                        const int64_t b = begin + r, unit = (block + own) * LANES;
                        const int64_t count = H - unit < LANES ? H - unit : LANES;
                        const int64_t kept_at = (((b * T + t) * (P / LANES)) + block + own) * SLOTS * LANES * S;
                        floats h = cell_forward(kind, layer->relu, tile_sums[r] + own * G, n[r],
                                                scratch.carry + b * P + unit,
                                                layer->kept ? (char *)layer->kept + kept_at : NULL, bf16);
                        put(written, b * P + unit, h, bf16);
                        put_some(layer->y, (b * T + t) * H + unit, h, count, bf16);
                        if (t == T - 1) {
                            put_some(layer->h_after, b * H + unit, h, count, 0);
                            if (kind == LSTM)
                                put_some(layer->c_after, b * H + unit, AT(scratch.carry + b * P + unit), count, 0);
                        }
                    }
            }
        }
        meet(meeting, all);
    }
}

/* One thread's blocks of units back through all time. */
INSIDE void backward_of(const int kind, const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    const int64_t B = layer->rows, T = layer->time, H = layer->hidden, P = padded(H), S = bytes_of(bf16);
    const int64_t G = kind == LSTM ? 4 : kind == GRU ? 3 : 1;
    const int64_t first = share(P / LANES, me, all), last = share(P / LANES, me + 1, all);
    const int64_t row_tiles = (B + ROWS - 1) / ROWS;
    const Scratch scratch = scratch_of(layer);
    for (int64_t block = first; block < last; block++) {
        const int64_t unit = block * LANES, count = H - unit < LANES ? H - unit : LANES;
        pack_backward((char *)scratch.packed + block * G * P * LANES * S, layer, unit, G, bf16);
        for (int64_t b = 0; b < B; b++) {
            floats none = {0};
            AT(scratch.carry + b * P + unit) =
                layer->dc_after ? get_some(layer->dc_after, b * H + unit, count, 0) : none;
        }
    }
    meet(meeting, all);
    for (int64_t t = T - 1; t >= -1; t--) { /* -1: only what flows on to before the first step */
        const void *read = scratch.inputs[(t + 1) % 2];
        void *written = scratch.inputs[(t + 2) % 2];
        if (t < 0 && !layer->dh_before) break;
        for (int64_t block = first; block < last; block += PANELS) {
            const int64_t panels = last - block < PANELS ? last - block : PANELS;
            const char *panel_at = (char *)scratch.packed + block * G * P * LANES * S;
            for (int64_t tile = 0; tile < row_tiles; tile++) {
                const int64_t begin = share(B, tile, row_tiles), rows = share(B, tile + 1, row_tiles) - begin;
                floats tile_sums[ROWS][PANELS];
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t p = 0; p < panels; p++) {
                        const int64_t b = begin + r, unit = (block + p) * LANES;
                        const int64_t count = H - unit < LANES ? H - unit : LANES;
                        floats sum = {0};
                        if (t >= 0 && layer->dy) sum += get_some(layer->dy, (b * T + t) * H + unit, count, bf16);
                        if (t == T - 1 && layer->dh_after) sum += get_some(layer->dh_after, b * H + unit, count, 0);
                        tile_sums[r][p] = sum;
                    }
                if (t < T - 1)
                    product(tile_sums, (char *)read + begin * G * P * S, G * P, panel_at, G * P * LANES, G * P, rows,
                                  panels);
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t p = 0; p < panels; p++) {
                        const int64_t b = begin + r, unit = (block + p) * LANES;
                        const int64_t count = H - unit < LANES ? H - unit : LANES;
                        float *carry = scratch.carry + b * P + unit;
                        if (t < 0) {
                            floats dh = tile_sums[r][p];
                            if (kind == GRU) dh += AT(carry);
                            put_some(layer->dh_before, b * H + unit, dh, count, 0);
                            if (kind == LSTM) put_some(layer->dc_before, b * H + unit, AT(carry), count, 0);
                            continue;
                        }
                        const int64_t kept_at = (((b * T + t) * (P / LANES)) + block + p) * SLOTS * LANES * S;
                        const char *kept = (char *)layer->kept + kept_at;
                        floats before = {0}, da[PANELS], dn = {0};
                        if (kind == LSTM)
                            before = t ? get(kept - P * SLOTS * S, 5 * LANES, bf16)
                                       : get_some(layer->c_before, b * H + unit, count, 0);
                        cell_backward(kind, layer->relu, tile_sums[r][p], carry, kept, before, da, &dn, bf16);
                        for (int64_t g = 0; g < G; g++) {
                            const int64_t at = (b * T + t) * G * H + g * H + unit;
                            const floats dx = kind == GRU && g == 2 ? dn : da[g];
                            put(written, b * G * P + g * P + unit, da[g], bf16);
                            put_some(layer->dhidden, at, da[g], count, bf16);
                            if (layer->dx) put_some(layer->dx, at, dx, count, bf16);
                            if (layer->dtable) {
                                const int64_t row = layer->ids[b * T + t] * G * H + g * H + unit;
                                put_some(layer->dtable, row, get_some(layer->dtable, row, count, 0) + dx, count, 0);
                            }
                        }
                    }
            }
        }
        meet(meeting, all);
    }
}

INSIDE void forward(const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    if (layer->kind == LSTM) forward_of(LSTM, bf16, product, layer, meeting, me, all);
    else if (layer->kind == GRU) forward_of(GRU, bf16, product, layer, meeting, me, all);
    else forward_of(RNN, bf16, product, layer, meeting, me, all);
}

INSIDE void backward(const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    if (layer->kind == LSTM) backward_of(LSTM, bf16, product, layer, meeting, me, all);
    else if (layer->kind == GRU) backward_of(GRU, bf16, product, layer, meeting, me, all);
    else backward_of(RNN, bf16, product, layer, meeting, me, all);
}

FOR_EACH_PROCESSOR
static void forward_fp32(const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    forward(0, product_fp32, layer, meeting, me, all);
}

FOR_EACH_PROCESSOR
static void backward_fp32(const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    backward(0, product_fp32, layer, meeting, me, all);
}

#ifdef COMPILES_BF16
USES_BF16
static void forward_bf16(const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    forward(1, product_bf16, layer, meeting, me, all);
}

USES_BF16
static void backward_bf16(const Layer *layer, Meeting *meeting, int64_t me, int64_t all) {
    backward(1, product_bf16, layer, meeting, me, all);
}
#endif

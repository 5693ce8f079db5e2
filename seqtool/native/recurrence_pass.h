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

/* A thread's blocks of LANES units, from `first` to `last` - 1, of all rows. */
typedef struct {
    const Layer *layer;
    Scratch scratch;
    int64_t B, T, H, P, G, S; /* S bytes of a number */
    int64_t first, last;
} Work;

INSIDE Work work_of(const int kind, const int bf16, const Layer *layer, int64_t me, int64_t all) {
    const int64_t P = padded(layer->hidden), G = kind == LSTM ? 4 : kind == GRU ? 3 : 1;
    return (Work){layer, scratch_of(layer), layer->rows, layer->time, layer->hidden, P, G, bytes_of(bf16),
                  share(P / LANES, me, all), share(P / LANES, me + 1, all)};
}

/* At time t, a few rows of a few neighbouring blocks: as many as there are registers for the sums of. */
typedef struct {
    int64_t t, block, blocks, row, rows;
} Tile;

/* The `number`th of the equal tiles that the rows are cut into. */
INSIDE Tile tile_of(const Work *w, int64_t t, int64_t block, int64_t blocks, int64_t number, int64_t numbers) {
    const int64_t row = share(w->B, number, numbers);
    return (Tile){t, block, blocks, row, share(w->B, number + 1, numbers) - row};
}

/* How many units of the block at `unit` there are; the rest of it is filled up. */
INSIDE int64_t units_at(const Work *w, int64_t unit) { return w->H - unit < LANES ? w->H - unit : LANES; }

INSIDE char *packed_at(const Work *w, int64_t block) { return (char *)w->scratch.packed + block * w->G * w->P * LANES * w->S; }

INSIDE char *kept_at(const Work *w, int64_t row, int64_t t, int64_t block) {
    return (char *)w->layer->kept + (((row * w->T + t) * (w->P / LANES)) + block) * SLOTS * LANES * w->S;
}

/* Pack W_hh, and put the state before the first step where the first step reads it. */
INSIDE void begin_forward(const int kind, const int bf16, const Work *w) {
    const Layer *layer = w->layer;
    for (int64_t block = w->first; block < w->last; block++) {
        const int64_t unit = block * LANES, count = units_at(w, unit);
        pack_forward(packed_at(w, block), layer, unit, w->G, bf16);
        for (int64_t b = 0; b < w->B; b++) {
            floats h = get_some(layer->h_before, b * w->H + unit, count, 0);
            put(w->scratch.inputs[0], b * w->P + unit, h, bf16);
            AT(w->scratch.carry + b * w->P + unit) = kind == LSTM ? get_some(layer->c_before, b * w->H + unit, count, 0) : h;
        }
    }
}

/* The input's share of the gates as the sums begin; of a gru's n, the sum begins with the bias, and n has the share. */
INSIDE void begin_sums(const int kind, const Work *w, const Tile *tile, floats sums[ROWS][PANELS], floats n[ROWS]) {
    const Layer *layer = w->layer;
    const int64_t G = w->G, H = w->H;
    for (int64_t r = 0; r < tile->rows; r++) {
        const int64_t token = (tile->row + r) * w->T + tile->t, row = (layer->ids ? layer->ids[token] : token) * G * H;
        for (int64_t p = 0; p < tile->blocks * G; p++) {
            const int64_t unit = (tile->block + p / G) * LANES, g = p % G, count = units_at(w, unit);
            floats x = layer->x_is_bf16 ? get_some(layer->x, row + g * H + unit, count, 1)
                                        : get_some(layer->x, row + g * H + unit, count, 0);
            if (kind == GRU) {
                floats b = get_some(layer->b_hh, g * H + unit, count, 0);
                if (g == 2) n[r] = x, x = b;
                else x += b;
            }
            sums[r][p] = x;
        }
    }
}

/* From the sums of the gates through the cell to the outputs, to what the next step reads, and to the state after the last. */
INSIDE void end_forward(const int kind, const int bf16, const Work *w, const Tile *tile, floats sums[ROWS][PANELS],
                        const floats n[ROWS], void *written) {
    const Layer *layer = w->layer;
    for (int64_t r = 0; r < tile->rows; r++)
        for (int64_t own = 0; own < tile->blocks; own++) {
            const int64_t b = tile->row + r, block = tile->block + own, unit = block * LANES, count = units_at(w, unit);
            float *carry = w->scratch.carry + b * w->P + unit;
            void *kept = layer->kept ? kept_at(w, b, tile->t, block) : NULL;
            floats h = cell_forward(kind, layer->relu, sums[r] + own * w->G, n[r], carry, kept, bf16);
            put(written, b * w->P + unit, h, bf16);
            put_some(layer->y, (b * w->T + tile->t) * w->H + unit, h, count, bf16);
            if (tile->t < w->T - 1) continue;
            put_some(layer->h_after, b * w->H + unit, h, count, 0);
            if (kind == LSTM) put_some(layer->c_after, b * w->H + unit, AT(carry), count, 0);
        }
}

/* One thread's blocks through all time. */
INSIDE void forward_of(const int kind, const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me,
                       int64_t all) {
    const Work work = work_of(kind, bf16, layer, me, all), *w = &work;
    const int64_t at_once = kind == RNN ? PANELS : 1, tiles = (w->B + ROWS - 1) / ROWS;
    begin_forward(kind, bf16, w);
    meet(meeting, all);
    for (int64_t t = 0; t < w->T; t++) {
        const char *read = w->scratch.inputs[t % 2];
        for (int64_t block = w->first; block < w->last; block += at_once)
            for (int64_t number = 0; number < tiles; number++) {
                const int64_t blocks = w->last - block < at_once ? w->last - block : at_once;
                const Tile tile = tile_of(w, t, block, blocks, number, tiles);
                floats sums[ROWS][PANELS], n[ROWS];
                begin_sums(kind, w, &tile, sums, n);
                product(sums, read + tile.row * w->P * w->S, w->P, packed_at(w, block), w->P * LANES, w->P, tile.rows,
                        blocks * w->G);
                end_forward(kind, bf16, w, &tile, sums, n, w->scratch.inputs[(t + 1) % 2]);
            }
        meet(meeting, all);
    }
}

/* Pack W_hh, and let the gradient of the cell's state after the last step be carried back. */
INSIDE void begin_backward(const int bf16, const Work *w) {
    const Layer *layer = w->layer;
    for (int64_t block = w->first; block < w->last; block++) {
        const int64_t unit = block * LANES, count = units_at(w, unit);
        pack_backward(packed_at(w, block), layer, unit, w->G, bf16);
        for (int64_t b = 0; b < w->B; b++) {
            floats none = {0};
            AT(w->scratch.carry + b * w->P + unit) =
                layer->dc_after ? get_some(layer->dc_after, b * w->H + unit, count, 0) : none;
        }
    }
}

/* The gradients of the outputs, and of the state after the last step, as the sums that are dh begin. */
INSIDE void begin_gradients(const int bf16, const Work *w, const Tile *tile, floats sums[ROWS][PANELS]) {
    const Layer *layer = w->layer;
    const int64_t t = tile->t;
    for (int64_t r = 0; r < tile->rows; r++)
        for (int64_t p = 0; p < tile->blocks; p++) {
            const int64_t b = tile->row + r, unit = (tile->block + p) * LANES, count = units_at(w, unit);
            floats sum = {0};
            if (t >= 0 && layer->dy) sum += get_some(layer->dy, (b * w->T + t) * w->H + unit, count, bf16);
            if (t == w->T - 1 && layer->dh_after) sum += get_some(layer->dh_after, b * w->H + unit, count, 0);
            sums[r][p] = sum;
        }
}

/* Write the gradients of the gates of a row's units: for the step before, and for whoever called. */
INSIDE void put_gates(const int kind, const int bf16, const Work *w, int64_t token, int64_t row, int64_t unit, const floats *da,
                      floats dn, void *written) {
    const Layer *layer = w->layer;
    const int64_t G = w->G, H = w->H, count = units_at(w, unit);
    for (int64_t g = 0; g < G; g++) {
        const int64_t at = token * G * H + g * H + unit;
        const floats dx = kind == GRU && g == 2 ? dn : da[g];
        put(written, row * G * w->P + g * w->P + unit, da[g], bf16);
        put_some(layer->dhidden, at, da[g], count, bf16);
        if (layer->dx) put_some(layer->dx, at, dx, count, bf16);
        if (layer->dtable) {
            const int64_t symbol = layer->ids[token] * G * H + g * H + unit;
            put_some(layer->dtable, symbol, get_some(layer->dtable, symbol, count, 0) + dx, count, 0);
        }
    }
}

/* What flows on to the state before the first step, from dh without what is carried. */
INSIDE void put_state_gradient(const int kind, const Work *w, int64_t row, int64_t unit, floats dh, const float *carry) {
    const int64_t at = row * w->H + unit, count = units_at(w, unit);
    if (kind == GRU) dh += AT(carry);
    put_some(w->layer->dh_before, at, dh, count, 0);
    if (kind == LSTM) put_some(w->layer->dc_before, at, AT(carry), count, 0);
}

/* The gradients of a tile, from those of the outputs through the cell; at -1 of the state before the first step alone. */
INSIDE void backward_tile(const int kind, const int bf16, Product *product, const Work *w, const Tile *tile) {
    const Layer *layer = w->layer;
    const int64_t t = tile->t, T = w->T, P = w->P, S = w->S, K = w->G * P;
    const char *read = w->scratch.inputs[(t + 1) % 2];
    void *written = w->scratch.inputs[(t + 2) % 2];
    floats sums[ROWS][PANELS];
    begin_gradients(bf16, w, tile, sums);
    if (t < T - 1) product(sums, read + tile->row * K * S, K, packed_at(w, tile->block), K * LANES, K, tile->rows, tile->blocks);
    for (int64_t r = 0; r < tile->rows; r++)
        for (int64_t p = 0; p < tile->blocks; p++) {
            const int64_t b = tile->row + r, unit = (tile->block + p) * LANES, count = units_at(w, unit);
            float *carry = w->scratch.carry + b * P + unit;
            if (t < 0) {
                put_state_gradient(kind, w, b, unit, sums[r][p], carry);
                continue;
            }
            /* Not by kept_at: with -fassociative-math the last bits of a gru's gradients depend even on that. */
            const int64_t place = (((b * T + t) * (P / LANES)) + tile->block + p) * SLOTS * LANES * S;
            const char *kept = (char *)layer->kept + place;
            floats before = {0}, da[PANELS], dn = {0};
            if (kind == LSTM)
                before = t ? get(kept - P * SLOTS * S, 5 * LANES, bf16) : get_some(layer->c_before, b * w->H + unit, count, 0);
            cell_backward(kind, layer->relu, sums[r][p], carry, kept, before, da, &dn, bf16);
            put_gates(kind, bf16, w, b * T + t, b, unit, da, dn, written);
        }
}

/* One thread's blocks back through all time. */
INSIDE void backward_of(const int kind, const int bf16, Product *product, const Layer *layer, Meeting *meeting, int64_t me,
                        int64_t all) {
    const Work work = work_of(kind, bf16, layer, me, all), *w = &work;
    const int64_t tiles = (w->B + ROWS - 1) / ROWS;
    begin_backward(bf16, w);
    meet(meeting, all);
    for (int64_t t = w->T - 1; t >= -1; t--) { /* -1: only what flows on to before the first step */
        if (t < 0 && !layer->dh_before) break;
        for (int64_t block = w->first; block < w->last; block += PANELS)
            for (int64_t number = 0; number < tiles; number++) {
                const int64_t blocks = w->last - block < PANELS ? w->last - block : PANELS;
                const Tile tile = tile_of(w, t, block, blocks, number, tiles);
                backward_tile(kind, bf16, product, w, &tile);
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

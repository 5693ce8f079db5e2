/* Recurrent layers over all time steps at once, forward and backward: rnn, gru and lstm.

   The input's share of the gates comes ready-made, as one product for all tokens, or as a table with a row for each
   symbol. What is left in the loop over time is the product with W_hh and the gates' arithmetic, which takes each sum
   while it is still in registers. W_hh is copied once a call into the order in which it is read. The units of the layer
   are split among the threads, which meet once a time step; every number is computed by one thread, in an order that
   does not depend on how many there are. models/cells.py has the equations; models/recurrence.py calls this, and torch's
   kernels do the same where it was not built. A test holds one to the other.

   In fp32 everything is. In bf16 the products take W_hh, h and the gradients of the gates in bf16 and add in fp32, the
   carried state stays fp32, and what the backward pass wants is kept in 16 bits: in 1/32767ths where it lies between -1
   and 1, otherwise as bf16.

   Shapes: B rows, T time, H hidden units, G gates (1, 3, 4), N symbols of the table; units come in blocks of LANES, the
   last one filled up with zeros: P = H rounded up. K length of a product's sums.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native.h"

enum { RNN, GRU, LSTM };
enum { LAYOUT = 2 };                                /* loading.py says the same */
enum { ROWS = 6, PANELS = 4, SLOTS = 6, LINE = 64 }; /* sums kept in registers: 6 rows of 4 vectors */

typedef struct {
    int64_t kind, relu, rows, time, hidden, threads, x_is_bf16;
    const void *x;           /* (B, T, G H) the input's share, or, where there are ids, a table (N, G H) */
    const int64_t *ids;      /* (B, T) rows of the table, or NULL */
    const float *W_hh, *b_hh; /* (G H, H); (G H,) of a gru, which keeps it apart from the input's share */
    const float *h_before, *c_before; /* (B, H); c of an lstm alone */
    void *y;                 /* (B, T, H), fp32 or bf16 */
    float *h_after, *c_after;
    void *kept;              /* for the backward pass; NULL where there will be none */
    void *scratch;           /* seqtool_recurrence_scratch bytes */
    /* Gradients: given for y and the state after (these may be NULL), found for the rest. */
    const void *dy;
    const float *dh_after, *dc_after;
    void *dhidden;           /* (B, T, G H) of the hidden state's share of the gates */
    void *dx;                /* the same of the input's; NULL where it is the same, or where there is a table */
    float *dtable;           /* (N, G H), to be added to; NULL without ids */
    float *dh_before, *dc_before; /* NULL where nobody asks */
} Layer;

int64_t seqtool_layout(void) { return LAYOUT; }

static inline int64_t gates_of(const Layer *layer) { return layer->kind == LSTM ? 4 : layer->kind == GRU ? 3 : 1; }
static inline int64_t padded(int64_t hidden) { return (hidden + LANES - 1) / LANES * LANES; }
static inline int64_t lines(int64_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* Bytes of the packed W_hh, of two steps' inputs of a product, and of the carried state. */
int64_t seqtool_recurrence_scratch(const Layer *layer) {
    int64_t G = gates_of(layer), P = padded(layer->hidden), B = layer->rows;
    return LINE + lines(4 * G * P * P) + lines(2 * 4 * B * G * P) + lines(4 * B * P);
}

/* Bytes of `kept`. */
int64_t seqtool_recurrence_kept(const Layer *layer, int64_t bf16) {
    return layer->rows * layer->time * padded(layer->hidden) * SLOTS * (bf16 ? 2 : 4);
}

typedef int16_t shorts __attribute__((vector_size(32), aligned(2), may_alias));

/* Numbers between -1 and 1. */
INSIDE floats get_unit(const void *from, int64_t at, int bf16) {
    if (!bf16) return get(from, at, 0);
    return __builtin_convertvector(__builtin_convertvector(*(shorts *)((int16_t *)from + at), ints), floats) * (1.0f / 32767);
}

INSIDE void put_unit(void *to, int64_t at, floats value, int bf16) {
    if (!bf16) put(to, at, value, 0);
    else *(shorts *)((int16_t *)to + at) = __builtin_convertvector(whole(value * 32767 + 32768.5f, 32768), shorts);
}

INSIDE floats hyperbolic_tangent(floats x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

/* The panels of a block of units: for each gate, W_hh from all units to these. In a panel stand LANES units for each k, in
   bf16 for each two: as many words of 32 bits for each. */
INSIDE void pack_forward(void *to, const Layer *layer, int64_t unit, int64_t G, int bf16) {
    const int64_t H = layer->hidden, P = padded(H), words = bf16 ? LANES / 2 : LANES;
    for (int64_t g = 0; g < G; g++)
        for (int64_t lane = 0; lane < LANES; lane++)
            for (int64_t k = 0; k < P; k += LANES) {
                const int64_t count = unit + lane >= H ? 0 : H - k < LANES ? H - k : LANES;
                uint32_t found[LANES];
                put(found, 0, get_some(layer->W_hh, (g * H + unit + lane) * H + k, count, 0), bf16);
                uint32_t *panel = (uint32_t *)((char *)to + (g * P + k) * LANES * bytes_of(bf16));
                for (int64_t w = 0; w < words; w++) panel[w * LANES + lane] = found[w];
            }
}

/* The panel of a block of units, in the same order: W_hh from these to all gates of all units. */
INSIDE void pack_backward(void *to, const Layer *layer, int64_t unit, int64_t G, int bf16) {
    const int64_t H = layer->hidden, P = padded(H), count = H - unit < LANES ? H - unit : LANES;
    for (int64_t g = 0; g < G; g++)
        for (int64_t m = 0; m < P; m += 2) {
            floats even = get_some(layer->W_hh, (g * H + m) * H + unit, m < H ? count : 0, 0);
            floats odd = get_some(layer->W_hh, (g * H + m + 1) * H + unit, m + 1 < H ? count : 0, 0);
            char *panel = (char *)to + (g * P + m) * LANES * bytes_of(bf16);
            if (bf16) {
                bits low = __builtin_convertvector(to_bf16(even), bits), high = __builtin_convertvector(to_bf16(odd), bits);
                AT((float *)panel) = (floats)(low | high << 16);
            } else {
                put(panel, 0, even, 0);
                put(panel, LANES, odd, 0);
            }
        }
}

typedef struct {
    void *packed, *inputs[2]; /* W_hh; what a product reads at even and odd steps, (B, K) */
    float *carry;             /* (B, P) */
} Scratch;

static inline Scratch scratch_of(const Layer *layer) {
    int64_t G = gates_of(layer), P = padded(layer->hidden), B = layer->rows;
    char *at = (char *)(((uintptr_t)layer->scratch + LINE - 1) / LINE * LINE);
    Scratch found = {at, {at + lines(4 * G * P * P), at + lines(4 * G * P * P) + lines(4 * B * G * P)}, 0};
    found.carry = (float *)((char *)found.inputs[0] + lines(2 * 4 * B * G * P));
    return found;
}

/* One unit vector of one row through the cell: sums are the gates before their activations, `n` the input's share of a
   gru's n; gives h. `kept` may be NULL. */
INSIDE floats cell_forward(int kind, int relu, const floats *sums, floats n, float *carry, void *kept, int bf16) {
    if (kind == LSTM) {
        floats i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = hyperbolic_tangent(sums[2]), o = sigmoid(sums[3]);
        floats c = f * AT(carry) + i * g, tanh_c = hyperbolic_tangent(c);
        AT(carry) = c;
        if (kept) {
            put_unit(kept, 0, i, bf16);
            put_unit(kept, LANES, f, bf16);
            put_unit(kept, 2 * LANES, g, bf16);
            put_unit(kept, 3 * LANES, o, bf16);
            put_unit(kept, 4 * LANES, tanh_c, bf16);
            put(kept, 5 * LANES, c, bf16);
        }
        return o * tanh_c;
    }
    if (kind == GRU) {
        floats before = AT(carry), r = sigmoid(sums[0]), z = sigmoid(sums[1]), q = sums[2];
        n = hyperbolic_tangent(n + r * q);
        floats h = n + z * (before - n);
        AT(carry) = h;
        if (kept) {
            put_unit(kept, 0, r, bf16);
            put_unit(kept, LANES, z, bf16);
            put_unit(kept, 2 * LANES, n, bf16);
            put(kept, 3 * LANES, q, bf16);
            put(kept, 4 * LANES, before, bf16);
        }
        return h;
    }
    floats zero = {0}, h = relu ? chosen((ints)(sums[0] < zero), zero, sums[0]) : hyperbolic_tangent(sums[0]);
    AT(carry) = h;
    if (kept) {
        if (relu) put(kept, 0, h, bf16);
        else put_unit(kept, 0, h, bf16);
    }
    return h;
}

/* Back through the cell: from dh, and what is carried back, to the gradients of the gates' sums. In `da` those of the
   hidden state's share, in `dn` of a gru that of the input's share of n. `before` is c before this step. */
INSIDE void cell_backward(int kind, int relu, floats dh, float *carry, const void *kept, floats before, floats *da, floats *dn,
                          int bf16) {
    if (kind == LSTM) {
        floats i = get_unit(kept, 0, bf16), f = get_unit(kept, LANES, bf16), g = get_unit(kept, 2 * LANES, bf16);
        floats o = get_unit(kept, 3 * LANES, bf16), tanh_c = get_unit(kept, 4 * LANES, bf16);
        floats dc = AT(carry) + dh * o * (1.0f - tanh_c * tanh_c);
        da[0] = dc * g * i * (1.0f - i);
        da[1] = dc * before * f * (1.0f - f);
        da[2] = dc * i * (1.0f - g * g);
        da[3] = dh * tanh_c * o * (1.0f - o);
        AT(carry) = dc * f;
    } else if (kind == GRU) {
        floats r = get_unit(kept, 0, bf16), z = get_unit(kept, LANES, bf16), n = get_unit(kept, 2 * LANES, bf16);
        floats q = get(kept, 3 * LANES, bf16), h_before = get(kept, 4 * LANES, bf16);
        dh += AT(carry);
        *dn = dh * (1.0f - z) * (1.0f - n * n);
        da[0] = *dn * q * r * (1.0f - r);
        da[1] = dh * (h_before - n) * z * (1.0f - z);
        da[2] = *dn * r;
        AT(carry) = dh * z;
    } else if (relu) {
        floats zero = {0};
        da[0] = chosen((ints)(get(kept, 0, bf16) > zero), dh, zero);
    } else {
        floats h = get_unit(kept, 0, bf16);
        da[0] = dh * (1.0f - h * h);
    }
}

#include "recurrence_pass.h"

/* Whether bf16 can be asked for: this compiler and this processor have its instructions. */
int64_t seqtool_recurrence_has_bf16(void) {
#ifdef COMPILES_BF16
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

/* The instructions that the passes use on this processor. */
const char *seqtool_instructions(void) { return seqtool_recurrence_has_bf16() ? WIDE ", bf16 by avx512bf16" : instructions(); }

typedef void Pass(const Layer *, Meeting *, int64_t, int64_t);
enum { DONE, NO_BF16 }; /* what a pass returns; loading.py says the same */

#ifdef COMPILES_BF16
#define IF_BF16(pass) (seqtool_recurrence_has_bf16() ? pass : NULL)
#else
#define IF_BF16(pass) NULL
#endif

static int64_t run(Pass *pass, const Layer *layer) {
    if (!pass) return NO_BF16;
    const int64_t blocks = padded(layer->hidden) / LANES, threads = layer->threads < blocks ? layer->threads : blocks;
    Meeting meeting = {0};
    (void)threads; /* without OpenMP there is one */
#pragma omp parallel num_threads(threads) if (threads > 1)
    pass(layer, &meeting, thread_number(), thread_count());
    return DONE;
}

/* y, h_after, c_after and, where there is room for it, what the backward pass wants. NO_BF16, and nothing is done, where that
   is asked for and seqtool_recurrence_has_bf16 is 0. */
int64_t seqtool_recurrence_forward(const Layer *layer, int64_t bf16) {
    return run(bf16 ? IF_BF16(forward_bf16) : forward_fp32, layer);
}

/* dhidden, dx or dtable, dh_before and dc_before; or NO_BF16. */
int64_t seqtool_recurrence_backward(const Layer *layer, int64_t bf16) {
    return run(bf16 ? IF_BF16(backward_bf16) : backward_fp32, layer);
}

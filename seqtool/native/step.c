/* One token at a time through blocks of attention, or with a state of one size, and products of a matrix with a few vectors.

   A product with so few vectors does little arithmetic on each weight, so it is as fast as the weights arrive: they are
   read once, in order, by all threads. models/decoding/products.py and steps.py have the same in torch operations, which run where
   this was not built; a test holds one to the other.

   Shapes: B rows, C width of the model, F width between up and down, or of what gdn convolves, H heads, D width of a head, W columns
   of a buffer.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native.h"

enum { LAYOUT = 4 }; /* loading.py says the same */
enum kind { FP32, BF16, INT8 };
enum activation { RELU, GELU, SWIGLU };

int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

typedef struct {
    const void *weights; /* (out, in) */
    const float *scales; /* (out,) of int8 */
    int64_t kind, out, in;
} Matrix;

typedef struct {
    Matrix qkv, gathered, up, down;
    const float *attention_gain, *attention_bias, *feedforward_gain, *feedforward_bias; /* (C,); a bias may be NULL */
    float *kv;                                                                          /* (B, 2, H, W, D) */
} Block;

enum mixer { MINGRU, GDN };
enum { MOST_HEAD = 256 }; /* width of a head of gdn; models/decoding/compiled_step.py says the same */

typedef struct {
    Matrix read, gathered, up, down; /* of mingru read gives gates and candidates, of gdn q, each mirror's k and v (F), gates, decays, betas */
    const float *mixer_gain, *mixer_bias, *feedforward_gain, *feedforward_bias; /* (C,); a bias may be NULL */
    const float *bias;               /* (C,) of mingru's gates, (H,) of gdn's decays */
    const float *rates, *taps, *head_gain; /* of gdn: (H,), (K, F), (D,) */
    float *state, *before;           /* (B, C), or (B, H, D, D) and (B, K - 1, F) */
    int64_t mixer, convolution, mirrors; /* K; M steps of gdn for each token */
    float most;                      /* what gates, or betas, lie below */
} StateBlock;

/* What lies before the blocks and behind them. */
typedef struct {
    const float *tables;      /* (P, symbols, C): of the newest token first */
    const float *gain, *bias; /* (C,) of the last norm; the bias may be NULL */
    int64_t symbols, places;  /* P of the stem */
} Ends;

typedef struct {
    int64_t blocks, rows, heads, head_width, columns, activation, rms, threads;
    float epsilon, head_epsilon, length_epsilon;
} Sizes;

enum { LINE = 64, AHEAD = 4096 }; /* bytes: weights are asked for about a page before they are used */

INSIDE float of_bf16(uint16_t number) {
    uint32_t bits = (uint32_t)number << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

enum { AT_ONCE = 4 * LANES };

/* The sum of w[i] x[i] of one row of the matrix. Row after row, in order, is how memory is fastest. */
INSIDE float dot_fp32(const float *w, const float *x, int64_t width) {
    floats s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    float sum = 0;
    int64_t i = 0;
    for (; i + AT_ONCE <= width; i += AT_ONCE) {
        for (int64_t line = 0; line < AT_ONCE * (int64_t)sizeof(float); line += LINE)
            __builtin_prefetch((const char *)(w + i) + AHEAD + line);
        s0 += AT(w + i) * AT(x + i);
        s1 += AT(w + i + LANES) * AT(x + i + LANES);
        s2 += AT(w + i + 2 * LANES) * AT(x + i + 2 * LANES);
        s3 += AT(w + i + 3 * LANES) * AT(x + i + 3 * LANES);
    }
    s0 = (s0 + s1) + (s2 + s3);
    for (int lane = 0; lane < LANES; lane++) sum += s0[lane];
    for (; i < width; i++) sum += w[i] * x[i];
    return sum;
}

INSIDE float dot_bf16(const uint16_t *w, const float *x, int64_t width) {
    float sum = 0;
    for (int64_t i = 0; i < width * (int64_t)sizeof *w; i += LINE) __builtin_prefetch((const char *)w + AHEAD + i);
    for (int64_t i = 0; i < width; i++) sum += of_bf16(w[i]) * x[i];
    return sum;
}

INSIDE float dot_int8(const int8_t *w, const float *x, int64_t width) {
    float sum = 0;
    for (int64_t i = 0; i < width; i += LINE) __builtin_prefetch((const char *)w + AHEAD + i);
    for (int64_t i = 0; i < width; i++) sum += (float)w[i] * x[i];
    return sum;
}

/* y[o] = W[o] x (+ plus[o]) for the outputs from `begin` to `end`, of every row; y, x and plus are (B, out or in). */
FOR_EACH_PROCESSOR
static void product_part(float *y, const Matrix *m, const float *x_rows, const float *plus, int64_t plus_stride,
                         int64_t rows, int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++)
        for (int64_t b = 0; b < rows; b++) {
            const float *x = x_rows + b * m->in;
            int64_t at = o * m->in;
            float sum = m->kind == FP32   ? dot_fp32((const float *)m->weights + at, x, m->in)
                        : m->kind == BF16 ? dot_bf16((const uint16_t *)m->weights + at, x, m->in)
                                          : dot_int8((const int8_t *)m->weights + at, x, m->in) * m->scales[o];
            y[b * m->out + o] = sum + (plus ? plus[b * plus_stride + o] : 0.0f);
        }
}

/* y = x W^T + plus; plus is NULL, one row for all (plus_stride 0) or a row each (plus_stride out). */
void seqtool_product(float *y, const Matrix *m, const float *x, const float *plus, int64_t plus_stride, int64_t rows,
                     int64_t threads) {
    if (threads == 1) {
        product_part(y, m, x, plus, plus_stride, rows, 0, m->out);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        int64_t me = thread_number(), all = thread_count();
        product_part(y, m, x, plus, plus_stride, rows, share(m->out, me, all), share(m->out, me + 1, all));
    }
}

FOR_EACH_PROCESSOR
static void normalize(float *y, const float *x, const float *gain, const float *bias, int64_t width, int rms,
                      float epsilon) {
    float mean = 0, squares = 0;
    if (!rms) {
        for (int64_t i = 0; i < width; i++) mean += x[i];
        mean /= (float)width;
    }
    for (int64_t i = 0; i < width; i++) squares += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf(squares / (float)width + epsilon);
    for (int64_t i = 0; i < width; i++) y[i] = (x[i] - mean) * scale * gain[i] + (bias ? bias[i] : 0.0f);
}

/* softmax(q K^T / sqrt(D)) V of one head, over the columns from `first` to `last`; the scores are scratch. */
FOR_EACH_PROCESSOR
static void attend(float *y, const float *q, const float *K, const float *V, int64_t first, int64_t last, int64_t D,
                   float *scores) {
    float highest = -INFINITY, total = 0, scale = 1.0f / sqrtf((float)D);
    for (int64_t s = first; s <= last; s++) {
        float score = 0;
        for (int64_t d = 0; d < D; d++) score += q[d] * K[s * D + d];
        scores[s] = score * scale;
        if (scores[s] > highest) highest = scores[s];
    }
    for (int64_t s = first; s <= last; s++) {
        scores[s] = expf(scores[s] - highest);
        total += scores[s];
    }
    for (int64_t d = 0; d < D; d++) y[d] = 0;
    for (int64_t s = first; s <= last; s++) {
        float weight = scores[s] / total;
        for (int64_t d = 0; d < D; d++) y[d] += weight * V[s * D + d];
    }
}

INSIDE int64_t some(int64_t from, int64_t end) { return end - from < LANES ? end - from : LANES; }

FOR_EACH_PROCESSOR
static void activate(float *u, const float *gate, int64_t activation, int64_t begin, int64_t end) {
    for (int64_t i = begin; activation == RELU && i < end; i++) u[i] = u[i] > 0 ? u[i] : 0;
    for (int64_t i = begin; activation == GELU && i < end; i++) u[i] = 0.5f * u[i] * (1.0f + erff(u[i] * 0.70710678f));
    for (int64_t i = begin; activation == SWIGLU && i < end; i += LANES) {
        const int64_t count = some(i, end);
        const floats g = get_some(gate, i, count, 0);
        put_some(u, i, g * sigmoid(g) * get_some(u, i, count, 0), count, 0);
    }
}

/* Turn pairs of neighbouring numbers by angles given as cosine and sine. */
static void turn(float *pairs, const float *rotation, int64_t width) {
    for (int64_t i = 0; i < width; i += 2) {
        float a = pairs[i], b = pairs[i + 1], cosine = rotation[i], sine = rotation[i + 1];
        pairs[i] = a * cosine - b * sine;
        pairs[i + 1] = a * sine + b * cosine;
    }
}

/* Attention of every `all`-th (row, head), from `me` on, for the tokens at column `at`: queries and keys are turned, keys
   and values put into the buffer kv (B, 2, H, W, D), and y (B, C) is what each query gathers. */
static void attend_part(float *y, float *qkv, float *kv, const Sizes *sizes, int64_t at, const int64_t *firsts,
                        const float *rotation, float *scores, int64_t me, int64_t all) {
    const int64_t H = sizes->heads, D = sizes->head_width, W = sizes->columns, C = H * D;
    for (int64_t place = me; place < sizes->rows * H; place += all) {
        int64_t b = place / H, h = place % H;
        float *q = qkv + b * 3 * C + h * D, *k = q + C, *v = k + C;
        float *K = kv + ((b * 2) * H + h) * W * D, *V = kv + ((b * 2 + 1) * H + h) * W * D;
        if (rotation) {
            turn(q, rotation + b * D, D);
            turn(k, rotation + b * D, D);
        }
        memcpy(K + at * D, k, D * sizeof(float));
        memcpy(V + at * D, v, D * sizeof(float));
        attend(y + b * C + h * D, q, K, V, firsts[b], at, D, scores);
    }
}

/* The same by all threads; scores has room for W numbers in each. */
void seqtool_attend(float *y, float *qkv, float *kv, const Sizes *sizes, int64_t at, const int64_t *firsts,
                    const float *rotation, float *scores) {
#pragma omp parallel num_threads(sizes->threads) if (sizes->threads > 1)
    attend_part(y, qkv, kv, sizes, at, firsts, rotation, scores + thread_number() * sizes->columns, thread_number(),
                thread_count());
}

/* What follows a block's mixer. */
typedef struct {
    const Matrix *gathered, *up, *down;
    const float *gain, *bias;
} Half;

/* x (B, C) plus what the mixer gathered, y, and then plus the dense net; called by all threads, which meet in it. */
static void finish(float *x, const float *y, const Half *half, const Sizes *sizes, int64_t C, float *u, float *all_inner,
                   float *normal, int64_t me, int64_t all) {
    const int64_t B = sizes->rows, F = half->down->in, up = half->up->out;
    product_part(x, half->gathered, y, x, C, B, share(C, me, all), share(C, me + 1, all));
#pragma omp barrier
    for (int64_t b = 0; b < B; b++) normalize(normal + b * C, x + b * C, half->gain, half->bias, C, sizes->rms, sizes->epsilon);
    int64_t begin = share(F, me, all), end = share(F, me + 1, all);
    product_part(u, half->up, normal, NULL, 0, B, begin, end);
    if (sizes->activation == SWIGLU) product_part(u, half->up, normal, NULL, 0, B, F + begin, F + end);
    for (int64_t b = 0; b < B; b++) { /* of swiglu the first half is the gate */
        float *inner = all_inner + b * F, *gate = u + b * up, *given = gate + up - F;
        memcpy(inner + begin, given + begin, (end - begin) * sizeof(float));
        activate(inner, gate, sizes->activation, begin, end);
    }
#pragma omp barrier
    product_part(x, half->down, all_inner, x, C, B, share(C, me, all), share(C, me + 1, all));
#pragma omp barrier
}

/* How many numbers of scratch seqtool_blocks takes: for every row its queries, keys and values, what they gather, and
   what lies between up and down; for every thread its scores and its copy of the normalised rows. */
int64_t seqtool_scratch(const Block *blocks, const Sizes *sizes) {
    const int64_t C = sizes->heads * sizes->head_width;
    return sizes->rows * (4 * C + blocks[0].up.out + blocks[0].down.in) + sizes->threads * (sizes->columns + sizes->rows * C);
}

/* x (B, C) through all blocks, in place, for the token at column `at`; row b sees the columns from firsts[b] on.

   rotation is (B, D), a cosine and a sine for each pair, or NULL. scratch has room for seqtool_scratch numbers.
*/
void seqtool_blocks(float *x, const Block *blocks, const Sizes *sizes, int64_t at, const int64_t *firsts,
                    const float *rotation, float *scratch) {
    const int64_t B = sizes->rows, H = sizes->heads, D = sizes->head_width, W = sizes->columns, C = H * D;
    const int64_t F = blocks[0].down.in, up = blocks[0].up.out; /* of all blocks */
    float *qkv = scratch;
    float *y = qkv + B * 3 * C;
    float *u = y + B * C;
    float *all_inner = u + B * up;
    float *all_scores = all_inner + B * F;
    float *all_normal = all_scores + sizes->threads * W;
#pragma omp parallel num_threads(sizes->threads) if (sizes->threads > 1)
    {
        const int64_t me = thread_number(), all = thread_count();
        float *scores = all_scores + me * W, *normal = all_normal + me * B * C;
        for (int64_t number = 0; number < sizes->blocks; number++) {
            const Block *block = blocks + number;
            for (int64_t b = 0; b < B; b++)
                normalize(normal + b * C, x + b * C, block->attention_gain, block->attention_bias, C, sizes->rms, sizes->epsilon);
            product_part(qkv, &block->qkv, normal, NULL, 0, B, share(3 * C, me, all), share(3 * C, me + 1, all));
#pragma omp barrier
            attend_part(y, qkv, block->kv, sizes, at, firsts, rotation, scores, me, all);
#pragma omp barrier
            const Half half = {&block->gathered, &block->up, &block->down, block->feedforward_gain, block->feedforward_bias};
            finish(x, y, &half, sizes, C, u, all_inner, normal, me, all);
        }
    }
}

INSIDE float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

/* h of some numbers of a row, from the sums of their gates and their candidates (models/scan.py). */
FOR_EACH_PROCESSOR
static void mix_mingru(float *y, float *h, const float *read, const float *bias, float most, int64_t C, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
        const int64_t count = some(i, end);
        floats now = get_some(h, i, count, 0), gate = most * sigmoid(get_some(read, i, count, 0) + get_some(bias, i, count, 0));
        now += gate * (get_some(read, C + i, count, 0) - now);
        put_some(h, i, now, count, 0);
        put_some(y, i, now, count, 0);
    }
}

/* What the convolution makes of some numbers of a row, which it has read for the last time if they are the oldest. */
INSIDE void convolve(float *x, float *before, const float *taps, const float *read, int64_t K, int64_t stride, int64_t D) {
    for (int64_t d = 0; d < D; d += LANES) {
        const int64_t count = some(d, D);
        const floats newest = get_some(read, d, count, 0);
        floats sum = get_some(taps, (K - 1) * stride + d, count, 0) * newest;
        for (int64_t k = 0; k < K - 1; k++) {
            sum += get_some(taps, k * stride + d, count, 0) * get_some(before, k * stride + d, count, 0);
            put_some(before, k * stride + d, k < K - 2 ? get_some(before, (k + 1) * stride + d, count, 0) : newest, count, 0);
        }
        put_some(x, d, sum * sigmoid(sum), count, 0);
    }
}

INSIDE void make_length_1(float *x, int64_t D, float epsilon) {
    float squares = 0;
    for (int64_t d = 0; d < D; d++) squares += x[d] * x[d];
    const float scale = 1.0f / sqrtf(squares + epsilon);
    for (int64_t d = 0; d < D; d++) x[d] *= scale;
}

enum { SIDE_BY_SIDE = 4 };

/* V vectors of columns of a table, V a constant, the last of `count` numbers: their sums stay in registers. */
INSIDE void change_columns(float *S, float *o, const float *q, const float *k, const float *v, float alpha, float beta, int64_t D,
                           int64_t at, int64_t count, int64_t V) {
    floats found[SIDE_BY_SIDE], told[SIDE_BY_SIDE], u[SIDE_BY_SIDE], zero = {0};
    for (int64_t j = 0; j < V; j++) found[j] = told[j] = zero;
    for (int64_t i = 0; i < D; i++)
        for (int64_t j = 0; j < V; j++) found[j] += k[i] * get_some(S, i * D + at + j * LANES, count, 0);
    for (int64_t j = 0; j < V; j++) u[j] = beta * (get_some(v, at + j * LANES, count, 0) - alpha * found[j]);
    for (int64_t i = 0; i < D; i++)
        for (int64_t j = 0; j < V; j++) {
            const floats now = alpha * get_some(S, i * D + at + j * LANES, count, 0) + k[i] * u[j];
            put_some(S, i * D + at + j * LANES, now, count, 0);
            told[j] += q[i] * now;
        }
    for (int64_t j = 0; j < V; j++) put_some(o, at + j * LANES, told[j], count, 0);
}

/* A step of the delta rule on a table: S = alpha S + k u^T with u = beta (v - alpha S^T k), and o = S^T q. */
INSIDE void change(float *S, float *o, const float *q, const float *k, const float *v, float alpha, float beta, int64_t D) {
    int64_t at = 0;
    for (; at + SIDE_BY_SIDE * LANES <= D; at += SIDE_BY_SIDE * LANES)
        change_columns(S, o, q, k, v, alpha, beta, D, at, LANES, SIDE_BY_SIDE);
    for (; at < D; at += LANES) change_columns(S, o, q, k, v, alpha, beta, D, at, some(at, D), 1);
}

/* One head of a row of gdn: convolution, the delta rule for each mirror, norm and gate (models/cores/mixers.py, models/delta_rule.py). */
FOR_EACH_PROCESSOR
static void mix_gdn(float *y, const StateBlock *block, const Sizes *sizes, const float *read, int64_t b, int64_t h) {
    const int64_t H = sizes->heads, D = sizes->head_width, C = H * D, K = block->convolution, M = block->mirrors;
    const int64_t F = (1 + 2 * M) * C; /* queries, then a key and a value for each mirror */
    float q[MOST_HEAD], k[MOST_HEAD], v[MOST_HEAD], o[MOST_HEAD], *before = block->before + b * (K - 1) * F;
    const float *gate = read + F, sum = gate[C + h] + block->bias[h], softplus = sum > 20 ? sum : log1pf(expf(sum));
    const float *betas = gate + C + H;
    float alpha = expf(-block->rates[h] * softplus), squares = 0;
    convolve(q, before + h * D, block->taps + h * D, read + h * D, K, F, D);
    make_length_1(q, D, sizes->length_epsilon);
    for (int64_t m = 0; m < M; m++) {
        const int64_t key = (1 + 2 * m) * C + h * D, value = key + C;
        convolve(k, before + key, block->taps + key, read + key, K, F, D);
        make_length_1(k, D, sizes->length_epsilon);
        convolve(v, before + value, block->taps + value, read + value, K, F, D);
        change(block->state + (b * H + h) * D * D, o, q, k, v, alpha, block->most * logistic(betas[m * H + h]), D);
        alpha = 1;
    }
    for (int64_t d = 0; d < D; d++) o[d] /= sqrtf((float)D), squares += o[d] * o[d];
    const float scale = 1.0f / sqrtf(squares / (float)D + sizes->head_epsilon);
    for (int64_t d = 0; d < D; d += LANES) {
        const int64_t count = some(d, D);
        const floats g = get_some(gate, h * D + d, count, 0), gain = get_some(block->head_gain, d, count, 0);
        put_some(y, h * D + d, get_some(o, d, count, 0) * scale * gain * g * sigmoid(g), count, 0);
    }
}

/* How many numbers of scratch seqtool_state_blocks takes, where the widest `read` gives so many. */
int64_t seqtool_state_scratch(const StateBlock *blocks, const Sizes *sizes, int64_t widest) {
    const int64_t C = sizes->heads * sizes->head_width;
    return sizes->rows * (widest + C + blocks[0].up.out + blocks[0].down.in + sizes->threads * C);
}

/* x (B, C) is the sum of a row of each table, by ids (B, P), the newest last; 0 if one is not of them, and nothing is done. */
FOR_EACH_PROCESSOR
static int64_t look_up(float *x, const int64_t *ids, const Ends *ends, int64_t B, int64_t C) {
    const int64_t P = ends->places;
    for (int64_t n = 0; n < B * P; n++)
        if (ids[n] < 0 || ids[n] >= ends->symbols) return 0;
    for (int64_t b = 0; b < B; b++) {
        for (int64_t i = 0; i < C; i++) x[b * C + i] = 0;
        for (int64_t p = 0; p < P; p++) {
            const float *row = ends->tables + ((P - 1 - p) * ends->symbols + ids[b * P + p]) * C;
            for (int64_t i = 0; i < C; i++) x[b * C + i] += row[i];
        }
    }
    return 1;
}

/* Features x (B, C) after the tokens ids (B, P), of which the last is new; the blocks' states are those after it. 0 if one is no
   token, and nothing is done. */
int64_t seqtool_state_blocks(float *x, const int64_t *ids, const StateBlock *blocks, const Sizes *sizes, const Ends *ends, int64_t widest,
                             float *scratch) {
    const int64_t B = sizes->rows, H = sizes->heads, C = H * sizes->head_width;
    if (!look_up(x, ids, ends, B, C)) return 0;
    float *read = scratch;
    float *y = read + B * widest;
    float *u = y + B * C;
    float *all_inner = u + B * blocks[0].up.out;
    float *all_normal = all_inner + B * blocks[0].down.in;
#pragma omp parallel num_threads(sizes->threads) if (sizes->threads > 1)
    {
        const int64_t me = thread_number(), all = thread_count();
        float *normal = all_normal + me * B * C;
        for (int64_t number = 0; number < sizes->blocks; number++) {
            const StateBlock *block = blocks + number;
            const int64_t out = block->read.out;
            for (int64_t b = 0; b < B; b++)
                normalize(normal + b * C, x + b * C, block->mixer_gain, block->mixer_bias, C, sizes->rms, sizes->epsilon);
            product_part(read, &block->read, normal, NULL, 0, B, share(out, me, all), share(out, me + 1, all));
#pragma omp barrier
            if (block->mixer == MINGRU)
                for (int64_t b = 0; b < B; b++)
                    mix_mingru(y + b * C, block->state + b * C, read + b * out, block->bias, block->most, C, share(C, me, all),
                               share(C, me + 1, all));
            else
                for (int64_t place = me; place < B * H; place += all)
                    mix_gdn(y + place / H * C, block, sizes, read + place / H * out, place / H, place % H);
#pragma omp barrier
            const Half half = {&block->gathered, &block->up, &block->down, block->feedforward_gain, block->feedforward_bias};
            finish(x, y, &half, sizes, C, u, all_inner, normal, me, all);
        }
    }
    for (int64_t b = 0; b < B; b++) normalize(x + b * C, x + b * C, ends->gain, ends->bias, C, sizes->rms, sizes->epsilon);
    return 1;
}

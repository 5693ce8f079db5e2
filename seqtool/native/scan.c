/* Linear recurrences over time, forward and backward: the gated scan of mingru, and the short causal convolution of gdn;
   and the gates of swiglu, which need no time.

   None multiplies by a matrix: each number of a layer goes its own way through time, sixteen of them at once. models/scan.py,
   models/convolution.py and models/swiglu.py call this, and have the same in torch operations; tests hold one to the other.
   What is given and found is fp32 or bf16, all arithmetic and the carried state fp32. Every number is computed by one thread, in an order that
   does not depend on how many there are.

   Shapes: B rows, T time, H numbers of a layer, in blocks of LANES of which the last may have fewer; K taps.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native.h"

enum { LAYOUT = 2, MOST_TAPS = 16 }; /* loading.py and models/convolution.py say the same */
int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

typedef struct {
    int64_t rows, time, width, taps, threads, is_bf16;
    float most;              /* of a scan: what its gates lie below */
    const void *x;           /* (B, T, 2H) the gates' sums and the candidates, or swiglu's two; of a convolution (B, T, H) */
    const float *bias;       /* (H,) of a scan's gates */
    const float *weight;     /* (K, H) of a convolution, the oldest token's first */
    const float *before;     /* (B, H) a scan's state; (B, K - 1, H) what a convolution read last */
    void *y;                 /* (B, T, H) */
    float *after;            /* (B, H) of a scan */
    /* Gradients: given for y and, unless NULL, the state after; found for the rest. */
    const void *dy;
    const float *dafter;
    void *dx;
    float *dweight;          /* (K, H) */
    float *dbefore;
} Pass;

INSIDE int64_t lanes(const Pass *p, int64_t from) { return p->width - from < LANES ? p->width - from : LANES; }

/* h_t = h_{t-1} + gate_t (candidate_t - h_{t-1}) of some numbers of a row. */
INSIDE void scan_forward(const Pass *p, int64_t b, int64_t from, int bf16) {
    const int64_t T = p->time, H = p->width, count = lanes(p, from);
    floats h = get_some(p->before, b * H + from, count, 0), bias = get_some(p->bias, from, count, 0);
    for (int64_t t = 0, at = b * T; t < T; t++, at++) {
        floats gate = p->most * sigmoid(get_some(p->x, at * 2 * H + from, count, bf16) + bias);
        h += gate * (get_some(p->x, (at * 2 + 1) * H + from, count, bf16) - h);
        put_some(p->y, at * H + from, h, count, bf16);
    }
    put_some(p->after, b * H + from, h, count, 0);
}

INSIDE void scan_backward(const Pass *p, int64_t b, int64_t from, int bf16) {
    const int64_t T = p->time, H = p->width, count = lanes(p, from);
    floats dh = {0}, bias = get_some(p->bias, from, count, 0);
    if (p->dafter) dh = get_some(p->dafter, b * H + from, count, 0);
    for (int64_t t = T - 1, at = b * T + T - 1; t >= 0; t--, at--) {
        if (p->dy) dh += get_some(p->dy, at * H + from, count, bf16);
        floats h = t ? get_some(p->y, (at - 1) * H + from, count, bf16) : get_some(p->before, b * H + from, count, 0);
        floats share = sigmoid(get_some(p->x, at * 2 * H + from, count, bf16) + bias), gate = p->most * share;
        floats difference = get_some(p->x, (at * 2 + 1) * H + from, count, bf16) - h;
        put_some(p->dx, at * 2 * H + from, dh * difference * gate * (1.0f - share), count, bf16);
        put_some(p->dx, (at * 2 + 1) * H + from, dh * gate, count, bf16);
        dh -= gate * dh;
    }
    put_some(p->dbefore, b * H + from, dh, count, 0);
}

/* What a convolution reads at time t of row b, which may lie before the first. */
INSIDE floats tap(const Pass *p, int64_t b, int64_t t, int64_t from, int64_t count, int bf16) {
    const int64_t H = p->width, earlier = p->taps - 1;
    if (t < 0) return get_some(p->before, (b * earlier + earlier + t) * H + from, count, 0);
    return get_some(p->x, (b * p->time + t) * H + from, count, bf16);
}

/* y_t = SiLU(sum over k of weight_k x_{t - K + 1 + k}) of some numbers of a row; `last` holds K of x. */
INSIDE void convolve_row(const Pass *p, int64_t b, int64_t from, int64_t K, int bf16) {
    const int64_t T = p->time, H = p->width, count = lanes(p, from);
    floats last[MOST_TAPS], weight[MOST_TAPS];
    for (int64_t k = 0; k < K; k++) weight[k] = get_some(p->weight, k * H + from, count, 0);
    for (int64_t k = 0; k < K - 1; k++) last[k + 1] = tap(p, b, k - K + 1, from, count, bf16);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t k = 0; k < K - 1; k++) last[k] = last[k + 1];
        last[K - 1] = get_some(p->x, (b * T + t) * H + from, count, bf16);
        floats sum = weight[0] * last[0];
        for (int64_t k = 1; k < K; k++) sum += weight[k] * last[k];
        put_some(p->y, (b * T + t) * H + from, sum * sigmoid(sum), count, bf16);
    }
}

/* The number of taps is a constant where it is the usual one, so that the last of x stay in registers. */
enum { USUAL_TAPS = 4 };

INSIDE void convolve(const Pass *p, int64_t b, int64_t from, int bf16) {
    if (p->taps == USUAL_TAPS) convolve_row(p, b, from, USUAL_TAPS, bf16);
    else convolve_row(p, b, from, p->taps, bf16);
}

/* Rows one after the other, since all add to dweight. */
INSIDE void convolve_back(const Pass *p, int64_t from, int64_t K, int bf16) {
    const int64_t T = p->time, H = p->width, count = lanes(p, from);
    floats weight[MOST_TAPS], dweight[MOST_TAPS];
    for (int64_t k = 0; k < K; k++) {
        floats zero = {0};
        weight[k] = get_some(p->weight, k * H + from, count, 0);
        dweight[k] = zero;
    }
    for (int64_t b = 0; b < p->rows; b++) {
        floats last[MOST_TAPS], dsum[MOST_TAPS]; /* x_{t - K + 1 + k}; the gradients of the sums at t .. t + K - 1 */
        for (int64_t k = 0; k < K; k++) {
            floats zero = {0};
            last[k] = tap(p, b, T - K + k, from, count, bf16);
            dsum[k] = zero;
        }
        for (int64_t t = T - 1; t > -K; t--) {
            for (int64_t k = K - 1; k > 0; k--) dsum[k] = dsum[k - 1];
            floats zero = {0};
            dsum[0] = zero;
            if (t >= 0) {
                floats sum = weight[0] * last[0];
                for (int64_t k = 1; k < K; k++) sum += weight[k] * last[k];
                floats share = sigmoid(sum);
                dsum[0] = get_some(p->dy, (b * T + t) * H + from, count, bf16) * share * (1.0f + sum * (1.0f - share));
                for (int64_t k = 0; k < K; k++) dweight[k] += dsum[0] * last[k];
                for (int64_t k = K - 1; k > 0; k--) last[k] = last[k - 1];
                if (t > 0) last[0] = tap(p, b, t - K, from, count, bf16);
            }
            floats dx = weight[K - 1] * dsum[0];
            for (int64_t k = 1; k < K; k++) dx += weight[K - 1 - k] * dsum[k];
            if (t >= 0) put_some(p->dx, (b * T + t) * H + from, dx, count, bf16);
            else put_some(p->dbefore, (b * (K - 1) + K - 1 + t) * H + from, dx, count, 0);
        }
    }
    for (int64_t k = 0; k < K; k++) put_some(p->dweight, k * H + from, dweight[k], count, 0);
}

INSIDE void convolve_backward(const Pass *p, int64_t from, int bf16) {
    if (p->taps == USUAL_TAPS) convolve_back(p, from, USUAL_TAPS, bf16);
    else convolve_back(p, from, p->taps, bf16);
}

/* y = SiLU(x's first half) x's second half, of some numbers of a token. */
INSIDE void gate(const Pass *p, int64_t at, int64_t from, int bf16) {
    const int64_t H = p->width, count = lanes(p, from);
    floats sum = get_some(p->x, at * 2 * H + from, count, bf16);
    put_some(p->y, at * H + from, sum * sigmoid(sum) * get_some(p->x, (at * 2 + 1) * H + from, count, bf16), count, bf16);
}

INSIDE void gate_backward(const Pass *p, int64_t at, int64_t from, int bf16) {
    const int64_t H = p->width, count = lanes(p, from);
    floats sum = get_some(p->x, at * 2 * H + from, count, bf16), dy = get_some(p->dy, at * H + from, count, bf16);
    floats other = get_some(p->x, (at * 2 + 1) * H + from, count, bf16), open = sigmoid(sum);
    put_some(p->dx, at * 2 * H + from, dy * other * open * (1.0f + sum * (1.0f - open)), count, bf16);
    put_some(p->dx, (at * 2 + 1) * H + from, dy * sum * open, count, bf16);
}

static inline int64_t blocks_of(const Pass *p) { return (p->width + LANES - 1) / LANES; }

/* Blocks begin .. end - 1 of all rows' blocks; of the last, of one row's. */
#define OF_ALL_ROWS(name, inside)                                                                      \
    FOR_EACH_PROCESSOR static void name(const Pass *p, int64_t begin, int64_t end) {                   \
        const int64_t blocks = blocks_of(p);                                                           \
        for (int64_t n = begin; n < end; n++) {                                                        \
            if (p->is_bf16) inside(p, n / blocks, n % blocks * LANES, 1);                              \
            else inside(p, n / blocks, n % blocks * LANES, 0);                                         \
        }                                                                                              \
    }
OF_ALL_ROWS(scan_forward_part, scan_forward)
OF_ALL_ROWS(scan_backward_part, scan_backward)
OF_ALL_ROWS(convolve_part, convolve)

/* Tokens begin .. end - 1 of all rows. */
#define OF_ALL_TOKENS(name, inside)                                                                    \
    FOR_EACH_PROCESSOR static void name(const Pass *p, int64_t begin, int64_t end) {                   \
        for (int64_t at = begin; at < end; at++) {                                                     \
            if (p->is_bf16) for (int64_t from = 0; from < p->width; from += LANES) inside(p, at, from, 1); \
            else for (int64_t from = 0; from < p->width; from += LANES) inside(p, at, from, 0);        \
        }                                                                                              \
    }
OF_ALL_TOKENS(gate_part, gate)
OF_ALL_TOKENS(gate_backward_part, gate_backward)

FOR_EACH_PROCESSOR
static void convolve_backward_part(const Pass *p, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
        if (p->is_bf16) convolve_backward(p, n * LANES, 1);
        else convolve_backward(p, n * LANES, 0);
    }
}

static void run(void (*part)(const Pass *, int64_t, int64_t), const Pass *p, int64_t count) {
    const int64_t threads = p->threads < count ? p->threads : count;
    (void)threads; /* without OpenMP there is one */
#pragma omp parallel num_threads(threads) if (threads > 1)
    part(p, share(count, thread_number(), thread_count()), share(count, thread_number() + 1, thread_count()));
}

/* y and after. */
void seqtool_scan_forward(const Pass *p) { run(scan_forward_part, p, p->rows * blocks_of(p)); }

/* dx and dbefore. */
void seqtool_scan_backward(const Pass *p) { run(scan_backward_part, p, p->rows * blocks_of(p)); }

/* y. */
void seqtool_convolve(const Pass *p) { run(convolve_part, p, p->rows * blocks_of(p)); }

/* dx, dweight and dbefore. */
void seqtool_convolve_backward(const Pass *p) { run(convolve_backward_part, p, blocks_of(p)); }

/* y. */
void seqtool_gate(const Pass *p) { run(gate_part, p, p->rows * p->time); }

/* dx. */
void seqtool_gate_backward(const Pass *p) { run(gate_backward_part, p, p->rows * p->time); }

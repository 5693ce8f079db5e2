/* The gated delta rule over all time steps, forward and backward: the table of each head goes through time in the first cache.

   models/delta_rule.py has the equations and calls this, and does the same in chunks of products where it was not built; a test
   holds one to the other. Queries and keys are given as they are and are divided by their lengths here. The table is read and
   written once a step as it stands in the equations, in fp32; what is given and found is fp32 or bf16. For the backward pass
   the table is kept every CHUNK steps and the steps between are taken again. Each head of each row is computed by one thread.

   Shapes: B rows, T time, H heads, D width of a head, which comes in vectors of LANES, the last filled up with zeros: P = D
   rounded up; V vectors. N chunks.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native.h"

enum { LAYOUT = 1, CHUNK = 16, MOST_VECTORS = 8, MOST_WIDTH = MOST_VECTORS * LANES }; /* models/delta_rule.py says the same */
int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

typedef struct {
    int64_t rows, time, heads, width, threads, is_bf16;
    float epsilon;           /* added to a squared length */
    const void *qkv;         /* (B, T, 3, H, D) */
    const float *alpha, *beta; /* (B, T, H) */
    const float *before;     /* (B, H, D, D): a table, a row for each number of a key */
    void *o;                 /* (B, T, H, D) */
    float *after;            /* (B, H, D, D) */
    float *kept;             /* (B, H, N, P, P), or NULL where there will be no backward pass */
    float *scratch;          /* seqtool_delta_scratch numbers */
    /* Gradients: given for o and, unless NULL, the table after; found for the rest. */
    const void *d_o;
    const float *dafter;
    void *dqkv;
    float *dalpha, *dbeta, *dbefore;
} Rule;

static inline int64_t vectors_of(const Rule *r) { return (r->width + LANES - 1) / LANES; }
static inline int64_t table_of(const Rule *r) { return vectors_of(r) * vectors_of(r) * LANES * LANES; }
static inline int64_t chunks_of(const Rule *r) { return (r->time + CHUNK - 1) / CHUNK; }

/* Numbers of scratch: for each thread a table, its gradient, and those before each step of a chunk. */
int64_t seqtool_delta_scratch(const Rule *r) { return r->threads * (CHUNK + 2) * table_of(r) + LANES; }

/* Numbers of `kept`. */
int64_t seqtool_delta_kept(const Rule *r) { return r->rows * r->heads * chunks_of(r) * table_of(r); }

typedef float eight __attribute__((vector_size(32)));
typedef float four __attribute__((vector_size(16)));

INSIDE float sum_of(floats x) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += x[lane];
    return sum;
}

INSIDE int64_t count_at(const Rule *r, int64_t j) { return r->width - j * LANES < LANES ? r->width - j * LANES : LANES; }

INSIDE void load(floats *to, const Rule *r, const void *from, int64_t at, int64_t V, int bf16) {
    for (int64_t j = 0; j < V; j++) to[j] = get_some(from, at + j * LANES, count_at(r, j), bf16);
}

INSIDE void store(const Rule *r, void *to, int64_t at, const floats *from, int64_t V, int bf16) {
    for (int64_t j = 0; j < V; j++) put_some(to, at + j * LANES, from[j], count_at(r, j), bf16);
}

INSIDE float dot(const floats *x, const floats *y, int64_t V) {
    floats sum = x[0] * y[0];
    for (int64_t j = 1; j < V; j++) sum += x[j] * y[j];
    return sum_of(sum);
}

/* Where a part (0: queries, 1: keys, 2: values) of a head at time t begins. */
INSIDE int64_t part_at(const Rule *r, int64_t b, int64_t t, int64_t part, int64_t h) {
    return (((b * r->time + t) * 3 + part) * r->heads + h) * r->width;
}

typedef struct {
    floats q[MOST_VECTORS], k[MOST_VECTORS], v[MOST_VECTORS], u[MOST_VECTORS], found[MOST_VECTORS];
    float q_scale, k_scale, alpha, beta; /* one over the lengths */
} Step;

INSIDE void read_step(Step *s, const Rule *r, int64_t b, int64_t t, int64_t h, int64_t V, int bf16) {
    load(s->q, r, r->qkv, part_at(r, b, t, 0, h), V, bf16);
    load(s->k, r, r->qkv, part_at(r, b, t, 1, h), V, bf16);
    load(s->v, r, r->qkv, part_at(r, b, t, 2, h), V, bf16);
    s->q_scale = 1.0f / sqrtf(dot(s->q, s->q, V) + r->epsilon);
    s->k_scale = 1.0f / sqrtf(dot(s->k, s->k, V) + r->epsilon);
    for (int64_t j = 0; j < V; j++) s->q[j] *= s->q_scale, s->k[j] *= s->k_scale;
    const int64_t at = (b * r->time + t) * r->heads + h;
    s->alpha = r->alpha[at], s->beta = r->beta[at];
}

/* found = S^T k, and u = beta (v - alpha found), which is written at k. */
INSIDE void find(Step *s, const float *S, int64_t V) {
    const float *k = (const float *)s->k;
    floats found[MOST_VECTORS];
    for (int64_t j = 0; j < V; j++) found[j] = k[0] * AT(S + j * LANES);
    for (int64_t i = 1; i < V * LANES; i++)
        for (int64_t j = 0; j < V; j++) found[j] += k[i] * AT(S + (i * V + j) * LANES);
    for (int64_t j = 0; j < V; j++) s->found[j] = found[j], s->u[j] = s->beta * (s->v[j] - s->alpha * found[j]);
}

/* To = alpha S + k u^T, which may be S itself, and o = To^T q. */
INSIDE void write_table(float *to, const float *S, const Step *s, floats *o, int64_t V) {
    const float *k = (const float *)s->k, *q = (const float *)s->q;
    const float alpha = s->alpha;
    floats sum[MOST_VECTORS], u[MOST_VECTORS], zero = {0};
    for (int64_t j = 0; j < V; j++) sum[j] = zero, u[j] = s->u[j];
    for (int64_t i = 0; i < V * LANES; i++)
        for (int64_t j = 0; j < V; j++) {
            floats now = alpha * AT(S + (i * V + j) * LANES) + k[i] * u[j];
            AT(to + (i * V + j) * LANES) = now;
            sum[j] += q[i] * now;
        }
    for (int64_t j = 0; j < V; j++) o[j] = sum[j];
}

/* A table (D, D) from or to the one (P, P) that steps work on. */
INSIDE void load_table(float *S, const Rule *r, const float *from, int64_t V) {
    memset(S, 0, V * V * LANES * LANES * sizeof *S);
    for (int64_t i = 0; i < r->width; i++) memcpy(S + i * V * LANES, from + i * r->width, r->width * sizeof *S);
}

INSIDE void store_table(const Rule *r, float *to, const float *S, int64_t V) {
    for (int64_t i = 0; i < r->width; i++) memcpy(to + i * r->width, S + i * V * LANES, r->width * sizeof *S);
}

INSIDE void forward(const Rule *r, int64_t n, float *scratch, int64_t V, int bf16) {
    const int64_t b = n / r->heads, h = n % r->heads, D = r->width, table = table_of(r);
    const float scale = 1.0f / sqrtf((float)D);
    float *S = scratch;
    load_table(S, r, r->before + n * D * D, V);
    for (int64_t t = 0; t < r->time; t++) {
        if (r->kept && t % CHUNK == 0) memcpy(r->kept + (n * chunks_of(r) + t / CHUNK) * table, S, table * sizeof *S);
        Step s;
        floats o[MOST_VECTORS];
        read_step(&s, r, b, t, h, V, bf16);
        find(&s, S, V);
        write_table(S, S, &s, o, V);
        for (int64_t j = 0; j < V; j++) o[j] *= scale;
        store(r, r->o, ((b * r->time + t) * r->heads + h) * D, o, V, bf16);
    }
    store_table(r, r->after + n * D * D, S, V);
}

/* The gradient of x, which was divided by its length, from that of the quotient. */
INSIDE void store_undivided(const Rule *r, int64_t at, const floats *x, floats *dx, float scale, int64_t V, int bf16) {
    const float along = dot(x, dx, V);
    for (int64_t j = 0; j < V; j++) dx[j] = scale * (dx[j] - along * x[j]);
    store(r, r->dqkv, at, dx, V, bf16);
}

/* Back through a step: S is the table before it, dS the gradient of the one after it and then of the one before. */
INSIDE void step_back(const Rule *r, int64_t b, int64_t t, int64_t h, const float *S, float *dS, int64_t V, int bf16) {
    const int64_t D = r->width, at = (b * r->time + t) * r->heads + h;
    const float scale = 1.0f / sqrtf((float)D);
    Step s;
    floats d_o[MOST_VECTORS], du[MOST_VECTORS], df[MOST_VECTORS], dq[MOST_VECTORS], dk[MOST_VECTORS], u[MOST_VECTORS];
    floats dalpha = {0}, dbeta = {0}, zero = {0};
    read_step(&s, r, b, t, h, V, bf16);
    find(&s, S, V);
    load(d_o, r, r->d_o, at * D, V, bf16);
    const float *k = (const float *)s.k, *q = (const float *)s.q, alpha = s.alpha; /* copies stay in registers */
    for (int64_t j = 0; j < V; j++) d_o[j] *= scale, du[j] = zero, u[j] = s.u[j];
    for (int64_t i = 0; i < V * LANES; i++)
        for (int64_t j = 0; j < V; j++) {
            floats d = AT(dS + (i * V + j) * LANES) + q[i] * d_o[j];
            AT(dS + (i * V + j) * LANES) = d;
            du[j] += k[i] * d;
        }
    for (int64_t j = 0; j < V; j++) {
        df[j] = s.beta * du[j];
        dbeta += du[j] * (s.v[j] - alpha * s.found[j]);
        dalpha -= df[j] * s.found[j];
    }
    const float u_d_o = dot(u, d_o, V);
    for (int64_t i = 0; i < V * LANES; i++) {
        floats for_q = zero, for_k = zero;
        for (int64_t j = 0; j < V; j++) {
            floats here = AT(S + (i * V + j) * LANES), d = AT(dS + (i * V + j) * LANES);
            for_q += here * d_o[j];
            for_k += d * u[j] - alpha * (here * df[j]);
            dalpha += d * here;
            AT(dS + (i * V + j) * LANES) = alpha * (d - k[i] * df[j]);
        }
        ((float *)dq)[i] = alpha * sum_of(for_q) + k[i] * u_d_o;
        ((float *)dk)[i] = sum_of(for_k);
    }
    r->dalpha[at] = sum_of(dalpha);
    r->dbeta[at] = sum_of(dbeta);
    store_undivided(r, part_at(r, b, t, 0, h), s.q, dq, s.q_scale, V, bf16);
    store_undivided(r, part_at(r, b, t, 1, h), s.k, dk, s.k_scale, V, bf16);
    store(r, r->dqkv, part_at(r, b, t, 2, h), df, V, bf16);
}

INSIDE void backward(const Rule *r, int64_t n, float *scratch, int64_t V, int bf16) {
    const int64_t b = n / r->heads, h = n % r->heads, D = r->width, table = table_of(r);
    float *dS = scratch, *tables = scratch + table;
    if (r->dafter) load_table(dS, r, r->dafter + n * D * D, V);
    else memset(dS, 0, table * sizeof *dS);
    for (int64_t chunk = chunks_of(r) - 1; chunk >= 0; chunk--) {
        const int64_t begin = chunk * CHUNK, end = begin + CHUNK < r->time ? begin + CHUNK : r->time;
        memcpy(tables, r->kept + (n * chunks_of(r) + chunk) * table, table * sizeof *tables);
        for (int64_t t = begin; t < end - 1; t++) {
            Step s;
            floats o[MOST_VECTORS];
            read_step(&s, r, b, t, h, V, bf16);
            find(&s, tables + (t - begin) * table, V);
            write_table(tables + (t - begin + 1) * table, tables + (t - begin) * table, &s, o, V);
        }
        for (int64_t t = end - 1; t >= begin; t--) step_back(r, b, t, h, tables + (t - begin) * table, dS, V, bf16);
    }
    store_table(r, r->dbefore + n * D * D, dS, V);
}

/* Heads begin .. end - 1 of all rows' heads. The number of vectors is a constant where a width is common, so that sums stay
   in registers. */
#define OF_HEADS(name, inside)                                                                              \
    FOR_EACH_PROCESSOR static void name(const Rule *r, int64_t begin, int64_t end, float *scratch) {        \
        const int64_t V = vectors_of(r);                                                                    \
        if (V < 1) return;                                                                                  \
        for (int64_t n = begin; n < end; n++) {                                                             \
            if (V == 4 && r->is_bf16) inside(r, n, scratch, 4, 1);                                          \
            else if (V == 4) inside(r, n, scratch, 4, 0);                                                   \
            else if (V == 2 && r->is_bf16) inside(r, n, scratch, 2, 1);                                     \
            else if (V == 2) inside(r, n, scratch, 2, 0);                                                   \
            else if (r->is_bf16) inside(r, n, scratch, V, 1);                                               \
            else inside(r, n, scratch, V, 0);                                                               \
        }                                                                                                   \
    }
OF_HEADS(forward_part, forward)
OF_HEADS(backward_part, backward)

static void run(void (*part)(const Rule *, int64_t, int64_t, float *), const Rule *r) {
    const int64_t count = r->rows * r->heads, threads = r->threads < count ? r->threads : count, room = (CHUNK + 2) * table_of(r);
    float *scratch = (float *)(((uintptr_t)r->scratch + 63) / 64 * 64);
    (void)threads; /* without OpenMP there is one */
#pragma omp parallel num_threads(threads) if (threads > 1)
    part(r, share(count, thread_number(), thread_count()), share(count, thread_number() + 1, thread_count()),
         scratch + thread_number() * room);
}

/* o, after and, where there is room for it, kept. */
void seqtool_delta_forward(const Rule *r) { run(forward_part, r); }

/* dqkv, dalpha, dbeta and dbefore. */
void seqtool_delta_backward(const Rule *r) { run(backward_part, r); }

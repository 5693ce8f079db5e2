/* Skip-gram and CBOW with negative sampling, as matrix products over shared noise words.

   Centres come in blocks of M neighbouring positions. A block reads P positions, its centres' windows included, and has
   N noise words of its own, each of which counts `negative` / N times. A step is a few blocks, or a part of one: their
   gradients are all taken at the same weights, each block's into a buffer of its own, and are then added, every row by
   one thread in the order of the blocks. So the result does not depend on the number of threads. A step ends before a
   word would be its centre too often. embeddings/skipgram.py has the same in torch operations, which run where this
   was not built or on another device; a test holds one to the other.

   Shapes: T positions of a text, P of a block, M centres, N noise words, D numbers in a vector, W = D rounded up to
   LANES, V words, R rows of `input`. Rows in scratch are W wide, zero from D on.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "native.h"

enum { LAYOUT = 5 };                           /* loading.py says the same */
enum { MOST_BLOCKS = 256, LOSS_EVERY = 64 }; /* skipgram.py says the same */

typedef struct {
    float *input;          /* (R, D) */
    float *output;         /* (V, D) */
    const int64_t *starts; /* (V + 1,) a word is the mean of the rows parts[starts[w]] .. parts[starts[w + 1] - 1]; */
    const int32_t *parts;  /* NULL: of its own row alone */
    int64_t dim, cbow, negative, noise, block;
    int64_t blocks, most; /* of a step: blocks, and how often a word is its centre */
} Weights;

typedef struct {
    const int32_t *words;         /* (T,) */
    const uint16_t *left, *right; /* (T,) how many words of a centre's window lie before and after it */
    const int32_t *noise;         /* (blocks, N) from the first block to learn from on */
} Text;

typedef struct {
    int64_t first, count; /* centres */
    int64_t low, positions;
    const int32_t *noise;
    float *dX, *dO, *dN; /* (P, W), (M, W), (N, W) to be added to the rows read, the centres', the noise words' */
    double loss;
} Block;

int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

static int64_t padded(int64_t dim) { return (dim + LANES - 1) / LANES * LANES; }

/* Floats that a block needs at most where windows reach so many words to each side. */
int64_t seqtool_block_floats(const Weights *by, int64_t reach) {
    int64_t W = padded(by->dim), P = by->block + 2 * reach, M = by->block, N = by->noise;
    return 2 * (P + M + N) * W + 2 * M * W + 2 * (P > M ? P : M) * N + 2 * P + LANES;
}

INSIDE float total(floats s) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += s[lane];
    return sum;
}

INSIDE float dot(const float *a, const float *b, int64_t width) {
    floats s = {0};
    for (int64_t i = 0; i < width; i += LANES) s += AT(a + i) * AT(b + i);
    return total(s);
}

/* 1 / (1 + e^-x). e^y is 2^n, n the nearest whole number to y / ln 2, times Taylor's polynomial of what is left. */
INSIDE floats sigmoids(floats x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = x[lane] > 80.0f ? 80.0f : x[lane] < -80.0f ? -80.0f : x[lane];
    floats y = x * -1.44269504f;
    ints n = whole(y + 128.5f, 128);
    floats f = (y - __builtin_convertvector(n, floats)) * 0.693147181f;
    floats e = 1 + f * (1 + f * (1 / 2.0f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f * (1 / 720.0f))))));
    return 1.0f / (1.0f + e * power_of_2(n));
}

/* s[i] = by * sigmoid(s[i]) */
INSIDE void scaled_sigmoids(float *s, float by, int64_t count) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) AT(s + i) = by * sigmoids(AT(s + i));
    if (i == count) return;
    floats rest = {0};
    memcpy(&rest, s + i, (count - i) * sizeof(float));
    rest = by * sigmoids(rest);
    memcpy(s + i, &rest, (count - i) * sizeof(float));
}

static double log_1_plus_exp(double x) { return x > 30 ? x : log1p(exp(x)); }

/* S[p][n] = X[p] . Y[n], two rows by four at a time. */
INSIDE void dots(float *S, const float *X, const float *Y, int64_t rows, int64_t columns, int64_t W) {
    int64_t p = 0;
    for (; p + 2 <= rows; p += 2) {
        const float *x0 = X + p * W, *x1 = x0 + W;
        float *t0 = S + p * columns, *t1 = t0 + columns;
        int64_t n = 0;
        for (; n + 4 <= columns; n += 4) {
            const float *y = Y + n * W;
            floats s00 = {0}, s01 = {0}, s02 = {0}, s03 = {0}, s10 = {0}, s11 = {0}, s12 = {0}, s13 = {0};
            for (int64_t i = 0; i < W; i += LANES) {
                floats a = AT(x0 + i), b = AT(x1 + i);
                floats y0 = AT(y + i), y1 = AT(y + W + i), y2 = AT(y + 2 * W + i), y3 = AT(y + 3 * W + i);
                s00 += a * y0, s01 += a * y1, s02 += a * y2, s03 += a * y3;
                s10 += b * y0, s11 += b * y1, s12 += b * y2, s13 += b * y3;
            }
            t0[n] = total(s00), t0[n + 1] = total(s01), t0[n + 2] = total(s02), t0[n + 3] = total(s03);
            t1[n] = total(s10), t1[n + 1] = total(s11), t1[n + 2] = total(s12), t1[n + 3] = total(s13);
        }
        for (; n < columns; n++) t0[n] = dot(x0, Y + n * W, W), t1[n] = dot(x1, Y + n * W, W);
    }
    if (p < rows)
        for (int64_t n = 0; n < columns; n++) S[p * columns + n] = dot(X + p * W, Y + n * W, W);
}

/* Z[p] = sum over n of G[p * down + n * across] Y[n], four rows at a time. */
INSIDE void mix(float *Z, const float *G, int64_t down, int64_t across, const float *Y, int64_t rows, int64_t columns,
                int64_t W) {
    int64_t p = 0;
    for (; p + 4 <= rows; p += 4)
        for (int64_t i = 0; i < W; i += LANES) {
            float *z = Z + p * W + i;
            floats z0 = {0}, z1 = {0}, z2 = {0}, z3 = {0};
            const float *g = G + p * down;
            for (int64_t n = 0; n < columns; n++, g += across) {
                floats y = AT(Y + n * W + i);
                z0 += g[0] * y, z1 += g[down] * y, z2 += g[2 * down] * y, z3 += g[3 * down] * y;
            }
            AT(z) = z0, AT(z + W) = z1, AT(z + 2 * W) = z2, AT(z + 3 * W) = z3;
        }
    for (; p < rows; p++)
        for (int64_t i = 0; i < W; i += LANES) {
            floats z = {0};
            for (int64_t n = 0; n < columns; n++) z += G[p * down + n * across] * AT(Y + n * W + i);
            AT(Z + p * W + i) = z;
        }
}

/* A row of D numbers into one of W. */
INSIDE void copied(float *to, const float *from, int64_t D, int64_t W) {
    memcpy(to, from, D * sizeof(float));
    for (int64_t i = D; i < W; i++) to[i] = 0;
}

/* The vector of a word: its row, or the mean of its rows. */
INSIDE void read_word(float *x, const Weights *by, int64_t word, int64_t W) {
    const int64_t D = by->dim;
    if (!by->starts) {
        copied(x, by->input + word * D, D, W);
        return;
    }
    memset(x, 0, W * sizeof(float));
    const int64_t begin = by->starts[word], end = by->starts[word + 1];
    for (int64_t part = begin; part < end; part++)
        for (int64_t i = 0; i < D; i++) x[i] += by->input[by->parts[part] * D + i];
    for (int64_t i = 0; i < D; i++) x[i] *= 1.0f / (end - begin);
}

/* Each word of a window predicts the centre: X, O, Y are the vectors read, `near` and S room for scores. */
INSIDE double skipgram(const Weights *by, const Text *text, const Block *block, float lr, const float *X,
                       const float *O, const float *Y, float *S, float *skips, float *pairs, float *near,
                       int wants_loss) {
    const int64_t W = padded(by->dim), M = block->count, P = block->positions, N = by->noise;
    const float share = (float)by->negative / N;
    double loss = 0;
    memset(pairs, 0, P * sizeof(float));
    memset(skips, 0, P * N * sizeof(float));
    for (int64_t m = 0; m < M; m++) {
        const int64_t at = block->first + m, own = at - block->low;
        const int64_t begin = own - text->left[at], end = own + text->right[at] + 1;
        for (int64_t p = begin; p < end; p++) pairs[p] += p != own;
        for (int64_t n = 0; n < N; n++)
            if (block->noise[n] == text->words[at]) /* a centre is not noise to itself */
                for (int64_t p = begin; p < end; p++) skips[p * N + n] += p != own;
    }
    dots(S, X, Y, P, N, W);
    if (wants_loss)
        for (int64_t p = 0; p < P; p++)
            for (int64_t n = 0; n < N; n++)
                loss += share * (pairs[p] - skips[p * N + n]) * log_1_plus_exp(S[p * N + n]);
    scaled_sigmoids(S, -lr * share, P * N);
    for (int64_t p = 0; p < P; p++)
        for (int64_t n = 0; n < N; n++) S[p * N + n] *= pairs[p] - skips[p * N + n];
    mix(block->dX, S, N, 1, Y, P, N, W);
    mix(block->dN, S, 1, N, X, N, P, W);
    for (int64_t m = 0; m < M; m++) {
        const int64_t at = block->first + m, own = at - block->low;
        const int64_t begin = own - text->left[at], end = own + text->right[at] + 1;
        const float *o = O + m * W;
        dots(near, X + begin * W, o, end - begin, 1, W);
        if (wants_loss)
            for (int64_t p = begin; p < end; p++)
                if (p != own) loss += log_1_plus_exp(-near[p - begin]);
        for (int64_t p = 0; p < end - begin; p++) near[p] = -near[p];
        scaled_sigmoids(near, lr, end - begin); /* lr (1 - sigmoid(s)) */
        near[own - begin] = 0;
        for (int64_t i = 0; i < W; i += LANES) {
            floats y = AT(o + i), z = {0};
            for (int64_t p = begin; p < end; p++) {
                z += near[p - begin] * AT(X + p * W + i);
                AT(block->dX + p * W + i) += near[p - begin] * y;
            }
            AT(block->dO + m * W + i) = z;
        }
    }
    return loss;
}

/* The mean of a window predicts the centre; each of its words gets the whole of the mean's gradient, as in word2vec. */
INSIDE double cbow(const Weights *by, const Text *text, const Block *block, float lr, const float *X, const float *O,
                   const float *Y, float *S, float *H, float *dH, float *rights, int wants_loss) {
    const int64_t W = padded(by->dim), M = block->count, P = block->positions, N = by->noise;
    const float share = (float)by->negative / N;
    double loss = 0;
    memset(block->dX, 0, P * W * sizeof(float));
    memset(H, 0, M * W * sizeof(float));
    for (int64_t m = 0; m < M; m++) {
        const int64_t at = block->first + m, own = at - block->low;
        const float each = 1.0f / (text->left[at] + text->right[at] + !(text->left[at] + text->right[at]));
        for (int64_t p = own - text->left[at]; p <= own + text->right[at]; p++)
            if (p != own)
                for (int64_t i = 0; i < W; i += LANES) AT(H + m * W + i) += each * AT(X + p * W + i);
    }
    dots(S, H, Y, M, N, W);
    for (int64_t m = 0; m < M; m++) {
        const int64_t at = block->first + m;
        const float *h = H + m * W, *o = O + m * W, alone = !(text->left[at] + text->right[at]);
        float *s = S + m * N, right = dot(h, o, W);
        if (wants_loss && !alone) {
            loss += log_1_plus_exp(-right);
            for (int64_t n = 0; n < N; n++)
                if (block->noise[n] != text->words[at]) loss += share * log_1_plus_exp(s[n]);
        }
        scaled_sigmoids(s, alone ? 0 : -lr * share, N);
        for (int64_t n = 0; n < N; n++)
            if (block->noise[n] == text->words[at]) s[n] = 0;
        right = -right;
        scaled_sigmoids(&right, alone ? 0 : lr, 1);
        rights[m] = right;
        for (int64_t i = 0; i < W; i += LANES) AT(block->dO + m * W + i) = right * AT(h + i);
    }
    mix(dH, S, N, 1, Y, M, N, W);
    mix(block->dN, S, 1, N, H, N, M, W);
    for (int64_t m = 0; m < M; m++) {
        const int64_t at = block->first + m, own = at - block->low;
        for (int64_t i = 0; i < W; i += LANES) AT(dH + m * W + i) += rights[m] * AT(O + m * W + i);
        for (int64_t p = own - text->left[at]; p <= own + text->right[at]; p++)
            if (p != own)
                for (int64_t i = 0; i < W; i += LANES) AT(block->dX + p * W + i) += AT(dH + m * W + i);
    }
    return loss;
}

/* Take a block's gradients, times -lr, into its buffer. */
FOR_EACH_PROCESSOR
static void read_block(const Weights *by, const Text *text, Block *block, float lr, float *scratch, int wants_loss) {
    const int64_t D = by->dim, W = padded(D), M = block->count, P = block->positions, N = by->noise;
    block->dX = scratch, block->dO = block->dX + P * W, block->dN = block->dO + M * W;
    float *X = block->dN + N * W, *O = X + P * W, *Y = O + M * W, *H = Y + N * W, *dH = H + M * W;
    float *S = dH + M * W, *skips = S + (P > M ? P : M) * N, *pairs = skips + P * N, *near = pairs + P;
    for (int64_t p = 0; p < P; p++) read_word(X + p * W, by, text->words[block->low + p], W);
    for (int64_t m = 0; m < M; m++) copied(O + m * W, by->output + text->words[block->first + m] * D, D, W);
    for (int64_t n = 0; n < N; n++) copied(Y + n * W, by->output + block->noise[n] * D, D, W);
    block->loss = by->cbow ? cbow(by, text, block, lr, X, O, Y, S, H, dH, pairs, wants_loss)
                           : skipgram(by, text, block, lr, X, O, Y, S, skips, pairs, near, wants_loss);
}

INSIDE void add_row(float *row, const float *gradient, int64_t D) {
    for (int64_t i = 0; i < D; i++) row[i] += gradient[i];
}

/* Add what a block found to those rows that are this thread's; a word's gradient in full to each of its rows. */
FOR_EACH_PROCESSOR
static void apply(const Weights *by, const Text *text, const Block *block, int64_t thread, int64_t threads) {
    const int64_t D = by->dim, W = padded(D);
    for (int64_t p = 0; p < block->positions; p++) {
        const int64_t word = text->words[block->low + p];
        if (!by->starts) {
            if (word % threads == thread) add_row(by->input + word * D, block->dX + p * W, D);
            continue;
        }
        for (int64_t part = by->starts[word]; part < by->starts[word + 1]; part++) {
            const int64_t row = by->parts[part];
            if (row % threads == thread) add_row(by->input + row * D, block->dX + p * W, D);
        }
    }
    for (int64_t m = 0; m < block->count; m++) {
        const int64_t word = text->words[block->first + m];
        if (word % threads == thread) add_row(by->output + word * D, block->dO + m * W, D);
    }
    for (int64_t n = 0; n < by->noise; n++)
        if (block->noise[n] % threads == thread) add_row(by->output + block->noise[n] * D, block->dN + n * W, D);
}

/* Centres first .. first + count - 1 and the positions that their windows reach. */
static Block block_of(const Weights *by, const Text *text, int64_t first, int64_t count, int64_t number) {
    int64_t low = first, high = first + count - 1;
    for (int64_t at = first; at < first + count; at++) {
        if (at - text->left[at] < low) low = at - text->left[at];
        if (at + text->right[at] > high) high = at + text->right[at];
    }
    Block block = {first, count, low, high - low + 1, text->noise + number * by->noise, 0, 0, 0, 0};
    return block;
}

INSIDE int64_t rows_of(const Weights *by, int64_t word) {
    return by->starts ? by->starts[word + 1] - by->starts[word] : 1;
}

INSIDE int32_t *count_of(const Weights *by, int64_t word, int64_t part, int32_t *counts) {
    return counts + (by->starts ? by->parts[by->starts[word] + part] : word);
}

/* How often the rows of a word have been a centre's, in all. */
INSIDE int64_t counted(const Weights *by, int64_t word, int32_t *counts) {
    int64_t sum = 0;
    for (int64_t part = 0; part < rows_of(by, word); part++) sum += *count_of(by, word, part, counts);
    return sum;
}

/* Where the steps over centres first .. last - 1 end, and how many there are: each before the centre that would be the
   (most + 1)th of its word in it. With n-grams a word has been a centre as often as its rows have, on average. `counts`
   (R,) is zero before and after. */
int64_t seqtool_steps(const Weights *by, const Text *text, int64_t first, int64_t last, int32_t *counts,
                      int64_t *ends) {
    int64_t steps = 0;
    for (int64_t begin = first, end = first; begin < last; begin = end) {
        int64_t most = (begin / by->block + by->blocks) * by->block;
        if (most > last) most = last;
        for (; end < most; end++) {
            const int64_t word = text->words[end], rows = rows_of(by, word);
            if (counted(by, word, counts) > (by->most - 1) * rows) break;
            for (int64_t part = 0; part < rows; part++) ++*count_of(by, word, part, counts);
        }
        for (int64_t at = begin; at < end; at++)
            for (int64_t part = 0; part < rows_of(by, text->words[at]); part++)
                *count_of(by, text->words[at], part, counts) = 0;
        ends[steps++] = end;
    }
    return steps;
}

/* Learn from the centres from `first`, a multiple of the block, to the last of `ends` at one rate, in steps that end
   there. Of every LOSS_EVERYth block, and at a rate of 0, where nothing changes, of every one, sum[0] gets the loss in
   nats and sum[1] the predictions that it is of. */
void seqtool_predict(const Weights *by, const Text *text, int64_t first, const int64_t *ends, int64_t steps, float lr,
                     float *scratch, int64_t reach, double *sum) {
    const int64_t M = by->block, each = seqtool_block_floats(by, reach);
    Block blocks[MOST_BLOCKS];
    Meeting meeting = {0};
#pragma omp parallel
    {
        const int64_t thread = thread_number(), threads = thread_count();
        for (int64_t step = 0; step < steps; step++) {
            const int64_t begin = step ? ends[step - 1] : first, end = ends[step];
            const int64_t from = begin / M, until = (end + M - 1) / M;
            for (int64_t b = from + thread; b < until; b += threads) {
                const int64_t low = b * M < begin ? begin : b * M, high = (b + 1) * M < end ? (b + 1) * M : end;
                Block *block = blocks + (b - from);
                *block = block_of(by, text, low, high - low, b - first / M);
                read_block(by, text, block, lr, scratch + (b - from) * each, lr == 0 || b % LOSS_EVERY == 0);
            }
            meet(&meeting, threads);
            for (int64_t b = from; b < until; b++) {
                const Block *block = blocks + (b - from);
                apply(by, text, block, thread, threads);
                if (thread || (lr != 0 && b % LOSS_EVERY)) continue;
                for (int64_t m = 0; m < block->count; m++) {
                    const int64_t near = text->left[block->first + m] + text->right[block->first + m];
                    sum[1] += by->cbow ? near > 0 : near;
                }
                sum[0] += block->loss;
            }
            meet(&meeting, threads);
        }
    }
}

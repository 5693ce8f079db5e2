/* Cross-entropy of a softmax and its gradient, in place of the logits, in one visit to each row.

   models/loss.py calls this between the products of the output layer, and has the same in torch operations, which run
   where this was not built; a test holds one to the other. Shapes: N tokens, S symbols.
*/
#include <math.h>
#include <string.h>

#include "native.h"

enum { LAYOUT = 2 }; /* loading.py says the same */
int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

/* One row: gives -log p(target), and has p - [symbol is the target] for the logits. */
INSIDE float row(void *logits, int64_t S, int64_t target, int bf16) {
    const int64_t whole = S / LANES * LANES, rest = S - whole;
    float last[LANES], most = -INFINITY, sum = 0;
    for (int lane = 0; lane < LANES; lane++) last[lane] = -INFINITY;
    for (int64_t s = 0; s < rest; s++) last[s] = get_one(logits, whole + s, bf16);
    floats top = AT(last), total = {0};
    for (int64_t s = 0; s < whole; s += LANES) {
        floats x = get(logits, s, bf16);
        top = chosen((ints)(x > top), x, top);
    }
    for (int lane = 0; lane < LANES; lane++) most = top[lane] > most ? top[lane] : most;
    for (int64_t s = 0; s < whole; s += LANES) total += exponential(get(logits, s, bf16) - most);
    for (int lane = 0; lane < LANES; lane++) sum += total[lane];
    for (int64_t s = 0; s < rest; s++) sum += expf(last[s] - most);
    const float at_target = get_one(logits, target, bf16), share = 1.0f / sum;
    for (int64_t s = 0; s < whole; s += LANES) put(logits, s, exponential(get(logits, s, bf16) - most) * share, bf16);
    for (int64_t s = 0; s < rest; s++) put_one(logits, whole + s, expf(last[s] - most) * share, bf16);
    put_one(logits, target, expf(at_target - most) * share - 1.0f, bf16);
    return logf(sum) + most - at_target;
}

/* Rows begin .. end - 1; a negative target has no loss and no gradient. */
#define ROWS(bf16)                                                                                   \
    for (int64_t n = begin; n < end; n++) {                                                          \
        char *at = (char *)logits + n * S * bytes_of(bf16);                                          \
        if (targets[n] < 0) memset(at, 0, S * bytes_of(bf16)), nats[n] = 0;                          \
        else nats[n] = row(at, S, targets[n], bf16);                                                 \
    }

FOR_EACH_PROCESSOR
static void rows(void *logits, const int64_t *targets, float *nats, int64_t S, int64_t begin, int64_t end, int64_t is_bf16) {
    if (is_bf16) ROWS(1) else ROWS(0)
}

/* nats (N,) of targets (N,), and the gradient of their sum in place of the logits (N, S), which are fp32 or bf16. */
void seqtool_cross_entropy(void *logits, const int64_t *targets, float *nats, int64_t N, int64_t S, int64_t is_bf16,
                           int64_t threads) {
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const int64_t me = thread_number(), all = thread_count();
        rows(logits, targets, nats, S, share(N, me, all), share(N, me + 1, all), is_bf16);
    }
}

/* Where n-grams lie among those that go on from one, by bisection.

   counts/children.py calls this, and has the same in numpy, which runs where this was not built; a test holds one to the
   other. The tokens of parent i are tokens[firsts[i]] .. tokens[firsts[i + 1] - 1] and ascend.
*/
#include "native.h"

enum { LAYOUT = 1, AHEAD = 8 }; /* LAYOUT: loading.py says the same */
int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return PLAIN; }

/* found (N,): the place of wanted[n] among the tokens of parents[n], or -1. What is read next is fetched meanwhile. */
void seqtool_find_children(const int32_t *firsts, const int32_t *tokens, const int64_t *parents, const int64_t *wanted,
                           int64_t *found, int64_t N) {
    for (int64_t n = 0; n < N; n++) {
        if (n + 2 * AHEAD < N) __builtin_prefetch(firsts + parents[n + 2 * AHEAD]);
        if (n + AHEAD < N) {
            const int32_t *at = firsts + parents[n + AHEAD];
            __builtin_prefetch(tokens + at[0] + (at[1] - at[0]) / 2);
        }
        int64_t low = firsts[parents[n]], high = firsts[parents[n] + 1];
        const int64_t end = high;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (tokens[middle] < wanted[n]) low = middle + 1;
            else high = middle;
        }
        found[n] = low < end && tokens[low] == wanted[n] ? low : -1;
    }
}

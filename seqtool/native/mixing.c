/* Counts that learn as they read, mixed with what other models say: logistic mixing of the decisions that spell a token.

   counts/gates/gates.py calls this, owns every array and tells what they mean; in_python.py beside it has the same in Python, which
   runs where this was not built; a test holds one to the other.
*/
#include "native.h"
#include <math.h>

enum { LAYOUT = 1 }; /* loading.py says the same */
int64_t seqtool_layout(void) { return LAYOUT; }
const char *seqtool_instructions(void) { return instructions(); }

enum { /* counts/gates/gates.py says the same, where these are explained */
    REACH = 24,
    MATCHES = 3,
    LEVELS = 2,
    WIDTH = 4,
    WAYS = 4,
    STATES = 2048,
    AGES = 8,
    STEPS = 33,
    CONFIDENCES = 32,
    MATCH_STEPS = 64,
    SETS = 14,
    LAST = 3,
    STAGES = 3,
    NAMED = 1024,
    HASHED = 4096,
    STAGED = 1 << 16,
    FOLLOWED = 1 << 16,
    TEXT = 16 + 11,
    CONTEXTS = 48, /* at most */
    MODELS = 16,   /* at most */
    INPUTS = 2 * CONTEXTS + MODELS + MATCHES + 1 + LANES
};
enum { MOST = 31, PLAIN_COUNTS = 20 }; /* of a counter */

typedef struct { /* of one text */
    int64_t recent[REACH];
    int64_t word, words[3], letters, column, opening, line, heading, blank;
    int64_t at[MATCHES], length[MATCHES];
} State;

typedef struct {
    int64_t symbols, nodes, contexts, orders, models, inputs, buckets, places, past_count;
    float rate, last_rate;
    const int32_t *children, *spans, *leaves;
    const uint64_t *paths;
    const uint8_t *depths;
    const int32_t *words;
    const uint8_t *kinds;
    const int64_t *masks, *rows;
    const float *stretched;
    const double *before;
    uint32_t *table;
    float *maps, *chances, *weights, *last, *stages, *match_maps;
    uint64_t *followed;
    int32_t *past, *found;
} Gates;

static const double LEAST_MASS = 2e-6;
static const int64_t LEAST[MATCHES] = {20, 12, 6};
static const int32_t BEFORE[AGES - 1] = {4, 16, 64, 256, 1024, 4096, 12000};

INSIDE uint64_t hash(uint64_t a, uint64_t b) {
    uint64_t h = (a ^ (b * 0x9E3779B97F4A7C15ull)) * 0xff51afd7ed558ccdull;
    h ^= h >> 32;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 29);
}

INSIDE float bound(float x, float low, float high) { return x > low ? x < high ? x : high : low; } /* low of NaN */
INSIDE int64_t at_most(int64_t x, int64_t most) { return x < most ? x : most; }
INSIDE float squash(float x) { return 1.0f / (1.0f + expf(-x)); }
INSIDE float stretch(const Gates *g, float p) { return g->stretched[(int)(p * 4095.999f)]; }

/* A map from numbers of -8 to 8: its value at x, and x's place between two of its points. */
typedef struct {
    float *points, part;
} Place;

INSIDE Place place_of(float *map, float x) {
    const float at = bound((x + 8) * 2, 0, STEPS - 1.001f);
    return (Place){map + (int)at, at - (int)at};
}
INSIDE float value_at(Place at) { return at.points[0] * (1 - at.part) + at.points[1] * at.part; }
INSIDE void move(Place at, int bit, float rate) {
    at.points[0] = bound(at.points[0] + (bit - at.points[0]) * rate * (1 - at.part), 1e-4f, 1 - 1e-4f);
    at.points[1] = bound(at.points[1] + (bit - at.points[1]) * rate * at.part, 1e-4f, 1 - 1e-4f);
}

INSIDE uint64_t *followers(const Gates *g, int64_t newest, int64_t before) { /* of one token; of two, if `before` is one */
    return g->followed + (before < 0 ? 0 : FOLLOWED) + (hash(newest, before + 1) & (FOLLOWED - 1));
}

INSIDE void hash_contexts(const Gates *g, const State *s, uint64_t *hashes) {
    uint64_t values[TEXT];
    for (int i = 0; i < 16; i++) values[i] = s->recent[i] + 1;
    const uint64_t one = *followers(g, s->recent[0], -1), two = *followers(g, s->recent[0], s->recent[1]);
    const uint64_t of_text[TEXT - 16] = {s->word,    s->words[0],       s->words[1],       s->words[2],
                                         at_most(s->column, 40), s->opening,       s->heading,        one & 0xffffffff,
                                         one & 0xffffffffffff,   two & 0xffffffff, two & 0xffffffffffff};
    memcpy(values + 16, of_text, sizeof of_text);
    for (int64_t c = 0; c < g->contexts; c++) {
        uint64_t h = g->masks[c];
        for (uint64_t left = h; left; left &= left - 1) h = hash(h, values[__builtin_ctzll(left)]);
        hashes[c] = h;
    }
}

INSIDE uint32_t *line_of(const Gates *g, uint64_t h) { return g->table + (h & (g->buckets - 1) & ~(uint64_t)(WAYS - 1)) * WIDTH; }

typedef struct { /* what a token's decisions share */
    uint64_t hashes[CONTEXTS];
    uint32_t *buckets[CONTEXTS];
    int ages[CONTEXTS];
    const double *masses[MODELS]; /* of the leaves before each, or NULL where a model says nothing */
    int symbols[MATCHES];         /* that each match foretells, -1: none */
    int entropy, match;
} Token;

static const uint32_t EMPTY[WIDTH] = {0};

/* The bucket of a context at a node; an EMPTY one where there is none and none is to be made. */
INSIDE void find_bucket(const Gates *g, Token *token, int64_t c, uint64_t h, int make) {
    const uint32_t check = (h >> 48) + !(h >> 48), now = g->past_count >> 6 & 0xffff;
    uint32_t *line = line_of(g, h), *least = line;
    int fewest = 1 << 16;
    token->ages[c] = AGES - 1;
    for (int way = 0; way < WAYS; way++) {
        uint32_t *own = line + (((h >> 40) + way) & (WAYS - 1)) * WIDTH;
        if ((own[0] & 0xffff) == check) {
            const int32_t ago = (now - (own[0] >> 16)) & 0xffff;
            int age = 0;
            while (age < AGES - 1 && ago >= BEFORE[age]) age++;
            token->ages[c] = age;
            token->buckets[c] = own;
            if (make) own[0] = check | now << 16;
            return;
        }
        const int count = own[0] ? 1 + (own[1] & MOST) + (own[1] >> 5 & MOST) : 0;
        if (count < fewest) fewest = count, least = own;
    }
    token->buckets[c] = (uint32_t *)EMPTY;
    if (!make) return;
    memset(least, 0, WIDTH * sizeof *least);
    least[0] = check | now << 16;
    token->buckets[c] = least;
}

INSIDE void find_buckets(const Gates *g, Token *token, int64_t node, int make) {
    uint64_t hashes[CONTEXTS];
    for (int64_t c = 0; c < g->contexts; c++) __builtin_prefetch(line_of(g, hashes[c] = hash(token->hashes[c], node + 7)));
    for (int64_t c = 0; c < g->contexts; c++) find_bucket(g, token, c, hashes[c], make);
}

/* A counter after another decision. */
INSIDE uint32_t counted(uint32_t counter, int bit) {
    int counts[2] = {counter & MOST, counter >> 5 & MOST}, n = counter >> 11 & MOST;
    if (counts[bit] < MOST) counts[bit]++;
    const int other = counts[!bit];
    if (other > 2) {
        const int less = other > 25 ? 12 + (other - 25) / 4 : (other * 3 + 2) / 5;
        counts[!bit] = less < 2 ? 2 : less;
    }
    float p = n ? (counter >> 16) / 65536.0f : 0.5f;
    const int seen = n < 20 ? n : n < 26 ? 20 + (n - 20) * 4 : 50 + (n - 26) * 16;
    p = bound(p + (bit - p) / (seen + 1.6f), 0.0005f, 0.9995f);
    const uint32_t draw = counter * 2654435761u;
    n += n < 20 || (n < 26 && !(draw >> 30)) || (n < MOST && !(draw >> 28));
    return counts[0] | counts[1] << 5 | bit << 10 | n << 11 | (uint32_t)(p * 65536) << 16;
}

typedef struct { /* one decision */
    float inputs[INPUTS];
    float *maps[CONTEXTS]; /* what told each input of counts, NULL: nothing */
    Place chances[CONTEXTS];
    float *match_maps[MATCHES];
    int match_bits[MATCHES];
    float *weights[SETS], *last[LAST];
    Place stages[STAGES];
    float dots[SETS], lasts[LAST], p;
} Decision;

INSIDE void decide(const Gates *g, const State *s, const Token *token, int64_t node, int depth, int place, uint64_t path,
                   Decision *d) {
    int64_t matched = 0, certain = 0, i = 2 * g->contexts;
    for (int64_t c = 0; c < g->contexts; c++) {
        const uint32_t counter = token->buckets[c][place];
        d->inputs[c] = d->inputs[g->contexts + c] = 0, d->maps[c] = NULL;
        if (!counter) continue;
        const int64_t kind = c * AGES + token->ages[c];
        d->maps[c] = g->maps + kind * STATES + (counter & (STATES - 1));
        d->inputs[c] = stretch(g, *d->maps[c]);
        d->chances[c] = place_of(g->chances + (kind * CONFIDENCES + (counter >> 11 & MOST)) * STEPS,
                                 stretch(g, (counter >> 16) / 65536.0f));
        d->inputs[g->contexts + c] = stretch(g, value_at(d->chances[c]));
        if (c && c <= g->orders) matched = c, certain += !(counter & MOST) || !(counter >> 5 & MOST);
    }
    float told = 0;
    const int32_t *span = g->spans + 3 * node;
    for (int64_t m = 0; m < g->models; m++, i++) {
        const double *mass = token->masses[m];
        d->inputs[i] = 0;
        if (!mass) continue;
        const double right = mass[span[2]] - mass[span[1]], both = mass[span[2]] - mass[span[0]];
        const float p = bound((right + 1e-7) / (both + 2e-7), 1e-6f, 1 - 1e-6f);
        d->inputs[i] = logf(p / (1 - p));
        if (!m) told = d->inputs[i];
    }
    for (int m = 0; m < MATCHES; m++, i++) {
        const int symbol = token->symbols[m];
        d->inputs[i] = 0, d->match_maps[m] = NULL;
        if (symbol < 0 || g->depths[symbol] <= depth || (g->paths[symbol] ^ path) & ((1ull << depth) - 1)) continue;
        const int64_t length = s->length[m] < 32 ? s->length[m] : 32 + (s->length[m] - 32) / 8;
        d->match_maps[m] = g->match_maps + m * MATCH_STEPS + at_most(length, MATCH_STEPS - 1);
        d->match_bits[m] = g->paths[symbol] >> depth & 1;
        const float x = stretch(g, *d->match_maps[m]);
        d->inputs[i] = d->match_bits[m] ? x : -x;
    }
    d->inputs[i] = 0.3f;
    const int64_t sure = (int)bound(told + 8, 0, 15), newest = s->recent[0], before = s->recent[1];
    const int64_t known = at_most(matched, 15), named = at_most(node, NAMED - 1);
    const int64_t chosen[SETS] = {known * 16 + at_most(certain, 15),
                                  named,
                                  token->entropy * 16 + sure,
                                  newest & (NAMED - 1),
                                  at_most(depth, 39) * 8 + token->match,
                                  at_most(s->letters, 15) * 8 + token->match,
                                  known * 24 + at_most(s->column, 23),
                                  (token->entropy * 8 + token->match) * 16 + known,
                                  before & (NAMED - 1),
                                  hash(newest, node) & (HASHED - 1),
                                  hash(hash(newest, before), depth) & (HASHED - 1),
                                  hash(s->word, depth) & (HASHED - 1),
                                  at_most(s->column, 63) * 8 + at_most(depth, 7),
                                  hash(s->words[0], s->letters) & (HASHED - 1)};
    d->last[0] = g->last + (named * 16 + known) * SETS;
    d->last[1] = g->last + (NAMED * 16 + token->match * 16 + known) * SETS;
    d->last[2] = g->last + (NAMED * 16 + 8 * 16 + (newest & (NAMED - 1))) * SETS;
    for (int j = 0; j < LAST; j++) d->lasts[j] = 0;
    for (int k = 0; k < SETS; k++) {
        const float *w = d->weights[k] = g->weights + (g->rows[k] + chosen[k]) * g->inputs;
        floats sum = {0};
        for (int64_t j = 0; j < g->inputs; j += LANES) sum += AT(w + j) * AT(d->inputs + j);
        float dot = 0;
        for (int j = 0; j < LANES; j++) dot += sum[j];
        d->dots[k] = bound(dot, -15, 15);
        for (int j = 0; j < LAST; j++) d->lasts[j] += d->last[j][k] * d->dots[k];
    }
    float mixed = 0;
    for (int j = 0; j < LAST; j++) mixed += d->lasts[j] / LAST;
    const int64_t places[STAGES] = {named, NAMED + (hash(newest, node) & (STAGED - 1)),
                                    NAMED + STAGED + (hash(hash(newest, before + 1), node) & (STAGED - 1))};
    float p = 0.4f * squash(mixed);
    for (int k = 0; k < STAGES; k++) p += 0.2f * value_at(d->stages[k] = place_of(g->stages + places[k] * STEPS, mixed));
    d->p = bound(p, 1e-6f, 1 - 1e-6f);
}

/* p(right) at a node that is reached with a probability of `mass`. Where that is hardly ever, counts of tokens tell it. */
INSIDE double chance(const Gates *g, int64_t node, double mass, const Decision *d) {
    const int32_t *span = g->spans + 3 * node;
    if (mass > LEAST_MASS) return d->p;
    return (g->before[span[2]] - g->before[span[1]]) / (g->before[span[2]] - g->before[span[0]]);
}

/* Learn how a decision was. */
INSIDE void learn(const Gates *g, const Token *token, int place, int bit, Decision *d) {
    float errors[LAST];
    for (int j = 0; j < LAST; j++) errors[j] = (bit - squash(d->lasts[j])) * g->last_rate;
    for (int k = 0; k < SETS; k++) {
        const float step = (bit - squash(d->dots[k])) * g->rate;
        for (int64_t j = 0; j < g->inputs; j += LANES) AT(d->weights[k] + j) += step * AT(d->inputs + j);
        for (int j = 0; j < LAST; j++) d->last[j][k] += errors[j] * d->dots[k];
    }
    for (int k = 0; k < STAGES; k++) move(d->stages[k], bit, 0.02f);
    for (int m = 0; m < MATCHES; m++)
        if (d->match_maps[m]) {
            float *to = d->match_maps[m];
            *to = bound(*to + ((d->match_bits[m] == bit) - *to) * 0.005f, 1e-4f, 1 - 1e-4f);
        }
    for (int64_t c = 0; c < g->contexts; c++) {
        if (d->maps[c]) {
            *d->maps[c] = bound(*d->maps[c] + (bit - *d->maps[c]) * 0.004f, 1e-4f, 1 - 1e-4f);
            move(d->chances[c], bit, 0.01f);
        }
        token->buckets[c][place] = counted(token->buckets[c][place], bit);
    }
}

/* `masses` (models, symbols + 1) is scratch. */
INSIDE void begin_token(const Gates *g, const State *s, const float *const *log_p, double *masses, Token *token) {
    hash_contexts(g, s, token->hashes);
    token->entropy = 15;
    for (int64_t m = 0; m < g->models; m++) {
        token->masses[m] = NULL;
        if (!log_p[m]) continue;
        double *mass = masses + m * (g->symbols + 1), sum = 0, entropy = 0;
        mass[0] = 0;
        for (int64_t i = 0; i < g->symbols; i++) {
            const float one = bound(log_p[m][g->leaves[i]], -80, 0), p = expf(one);
            entropy -= p * one;
            mass[i + 1] = sum += p;
        }
        token->masses[m] = mass;
        if (!m) token->entropy = (int)bound(entropy * 4, 0, 14);
    }
    token->match = 0;
    for (int m = MATCHES; m--;) {
        const int64_t n = s->length[m];
        token->symbols[m] = n ? g->past[s->at[m]] : -1;
        if (n) token->match = n < 8 ? 1 : n < 12 ? 2 : n < 16 ? 3 : n < 20 ? 4 : n < 24 ? 5 : n < 32 ? 6 : 7;
    }
}

/* The state after one more token, which goes to what was read if `learning`. */
INSIDE void advance(Gates *g, State *s, int64_t token, int learning) {
    if (learning) {
        uint64_t *one = followers(g, s->recent[0], -1), *two = followers(g, s->recent[0], s->recent[1]);
        *one = *one << 16 | (token & 0xffff), *two = *two << 16 | (token & 0xffff);
        g->past[g->past_count++] = token;
    }
    memmove(s->recent + 1, s->recent, (REACH - 1) * sizeof *s->recent);
    s->recent[0] = token;
    const int64_t in_word = g->words[token];
    if ((!in_word || g->kinds[token] & 1) && s->letters) {
        s->words[2] = s->words[1], s->words[1] = s->words[0], s->words[0] = s->word;
        s->word = s->letters = 0;
    }
    if (in_word) s->word = hash(s->word, in_word), s->letters++;
    if (g->kinds[token] & 2) { /* a heading is the first line behind an empty one */
        if (s->column && s->blank) s->heading = s->line;
        s->blank = !s->column;
        s->column = s->line = s->opening = 0;
    } else {
        s->line = hash(s->line, token);
        if (++s->column <= 4) s->opening = s->line;
    }
    uint64_t h = 0;
    int64_t done = 0;
    for (int m = MATCHES; m--;) {
        if (s->length[m] && g->past[s->at[m]] == token) s->at[m]++, s->length[m]++;
        else s->length[m] = 0;
        for (; done < LEAST[m]; done++) h = hash(h, s->recent[done] + 1);
        int32_t *found = g->found + m * g->places + (h & (g->places - 1));
        if (!s->length[m] && *found >= 0) {
            int64_t length = 0;
            while (length < REACH && length < *found && g->past[*found - 1 - length] == s->recent[length]) length++;
            if (length >= LEAST[m]) s->at[m] = *found, s->length[m] = length;
        }
        if (s->at[m] >= g->past_count) s->at[m] = s->length[m] = 0;
        if (learning) *found = g->past_count;
    }
}

/* nats (T,): -log p of each of `ids`, with which a text goes on, and the state after them. log_p: of each model (T, symbols), or
   NULL where it says nothing. */
FOR_EACH_PROCESSOR
void seqtool_gates_read(Gates *g, State *s, const int64_t *ids, int64_t T, const float *const *log_p, double *masses,
                        float *nats, int64_t learning) {
    Token token;
    Decision d = {0};
    for (int64_t t = 0; t < T; t++) {
        const float *now[MODELS] = {0};
        for (int64_t m = 0; m < g->models; m++) now[m] = log_p[m] ? log_p[m] + t * g->symbols : NULL;
        begin_token(g, s, now, masses, &token);
        const uint64_t path = g->paths[ids[t]];
        int64_t node = 0;
        int place = 1;
        double mass = 1;
        for (int depth = 0; depth < g->depths[ids[t]]; depth++) {
            if (depth % LEVELS == 0) place = 1, find_buckets(g, &token, node, learning);
            const int bit = path >> depth & 1;
            decide(g, s, &token, node, depth, place, path, &d);
            const double right = chance(g, node, mass, &d);
            mass *= bit ? right : 1 - right;
            if (learning) learn(g, &token, place, bit, &d);
            node = g->children[2 * node + bit];
            place = 2 * place + bit;
        }
        nats[t] = -log(mass);
        advance(g, s, ids[t], learning);
    }
}

/* The state after each of `ids`, of which none is scored. */
void seqtool_gates_advance(Gates *g, State *s, const int64_t *ids, int64_t T, int64_t learning) {
    for (int64_t t = 0; t < T; t++) advance(g, s, ids[t], learning);
}

/* out (symbols): log p of every next token. log_p: of each model (symbols), or NULL. Nothing is learned. */
FOR_EACH_PROCESSOR
void seqtool_gates_next(Gates *g, const State *s, const float *const *log_p, double *masses, float *out) {
    Token token;
    Decision d = {0};
    begin_token(g, s, log_p, masses, &token);
    struct {
        int64_t node;
        uint64_t path;
        double mass;
        int depth;
    } open[2 * 64 + 4] = {{0, 0, 1, 0}};
    int count = 1;
    while (count) { /* nodes where a bucket begins: their own decision, and those of the two below them */
        count--;
        const int64_t top = open[count].node;
        const uint64_t path = open[count].path;
        const double mass = open[count].mass;
        const int depth = open[count].depth;
        if (top < 0) {
            out[~top] = log(mass);
            continue;
        }
        const int32_t *span = g->spans + 3 * top;
        if (mass <= LEAST_MASS) {
            const double log_share = log(mass / (g->before[span[2]] - g->before[span[0]]));
            for (int64_t i = span[0]; i < span[2]; i++) out[g->leaves[i]] = log_share + log(g->before[i + 1] - g->before[i]);
            continue;
        }
        find_buckets(g, &token, top, 0);
        decide(g, s, &token, top, depth, 1, path, &d);
        const double of_bit[2] = {mass * (1 - (double)d.p), mass * d.p};
        for (int bit = 0; bit < 2; bit++) {
            const int64_t node = g->children[2 * top + bit];
            const uint64_t below = path | (uint64_t)bit << depth;
            if (node < 0) {
                out[~node] = log(of_bit[bit]);
                continue;
            }
            if (of_bit[bit] > LEAST_MASS) decide(g, s, &token, node, depth + 1, 2 + bit, below, &d);
            const double right = chance(g, node, of_bit[bit], &d);
            for (int next = 0; next < 2; next++, count++) {
                open[count].node = g->children[2 * node + next];
                open[count].path = below | (uint64_t)next << (depth + 1);
                open[count].mass = of_bit[bit] * (next ? right : 1 - right);
                open[count].depth = depth + 2;
            }
        }
    }
}

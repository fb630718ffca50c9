/* example_grid.c - the grid game that every client library plays: integers only, so that a run is
   the same in every language. Walk to the food before the energy is used up.

   cc -std=c99 -O2 example_grid.c -o example_grid

   Run by an agent that sets TROPISM_BRIDGE_ADDR:
     gymnasium.make("tropism/Bridge-v0", command=["./example_grid"])
   or left waiting for agents: ./example_grid --listen tcp://127.0.0.1:5577 */

#define TROPISM_BRIDGE_IMPLEMENTATION
#include "tropism_bridge.h"

enum { SIDE = 8, FULL = 128, LIMIT = 200 };

typedef struct {
    uint32_t random;
    int32_t x, y, food_x, food_y, energy, steps, reward;
} world;

typedef struct { /* where things are in the observation */
    size_t view, where, energy, hungry;
} places;

static int32_t draw(world *w) { /* xorshift of 32 bits (Marsaglia 2003), for a coordinate */
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return (int32_t)(w->random % SIDE);
}

static void reset(world *w, const tb_request *request) {
    if (request->has_seed) w->random = (uint32_t)request->seed ? (uint32_t)request->seed : 1;
    w->x = draw(w), w->y = draw(w);
    w->food_x = draw(w), w->food_y = draw(w);
    w->energy = 64, w->steps = w->reward = 0;
}

static int32_t within(int64_t place) { return (int32_t)(place < 0 ? 0 : place < SIDE ? place : SIDE - 1); }

static void step(world *w, int64_t action) { /* stay, up, down, left, right */
    static const int dx[] = {0, 0, 0, -1, 1}, dy[] = {0, -1, 1, 0, 0};
    w->x = within(w->x + dx[action]), w->y = within(w->y + dy[action]);
    w->steps++, w->energy--, w->reward = -1;
    if (w->x != w->food_x || w->y != w->food_y) return;
    w->reward = 10, w->energy += w->energy + 16 < FULL ? 16 : FULL - w->energy;
    w->food_x = draw(w), w->food_y = draw(w);
}

static tb_spec *describe(places *at) {
    tb_spec *spec = tb_spec_new("grid");
    tb_agent(spec, "walker");
    tb_dict(spec);
    tb_key(spec, "view"), at->view = tb_box(spec, TB_U1, TB_SHAPE(SIDE, SIDE), 0, 2);
    tb_key(spec, "where"), at->where = tb_box(spec, TB_I4, TB_SHAPE(4), 0, SIDE - 1);
    tb_key(spec, "energy"), at->energy = tb_box(spec, TB_F4, TB_SCALAR, 0, 1);
    tb_key(spec, "hungry"), at->hungry = tb_discrete(spec, 2, 0);
    tb_end(spec);
    tb_discrete(spec, 5, 0);
    return spec;
}

static void show(const world *w, tb_game *game, const places *at) {
    uint8_t *out = (uint8_t *)tb_observation(game, 0), *view = out + at->view;
    const int32_t where[4] = {w->x, w->y, w->food_x, w->food_y};
    const float energy = (float)w->energy / FULL;
    const int64_t hungry = w->energy < 32;
    memset(view, 0, SIDE * SIDE);
    view[w->food_y * SIDE + w->food_x] = 2;
    view[w->y * SIDE + w->x] = 1;
    memcpy(out + at->where, where, sizeof where);
    memcpy(out + at->energy, &energy, sizeof energy);
    memcpy(out + at->hungry, &hungry, sizeof hungry);
    tb_outcome(game, 0, w->reward, w->energy == 0, w->energy != 0 && w->steps >= LIMIT);
    tb_observe(game, NULL);
}

int main(int count, char **words) {
    world w = {1, 0, 0, 0, 0, 0, 0, 0};
    tb_options options = {0};
    tb_request request;
    tb_result result;
    tb_game *game;
    places at;
    options.listen = count == 3 && !strcmp(words[1], "--listen") ? words[2] : NULL;
    options.reconnect = options.listen != NULL;
    options.can = TB_CAN_SEED, options.version = "1";
    if (!(game = tb_open(describe(&at), &options))) return 1;
    if (options.listen) printf("%s\n", tb_address(game)), fflush(stdout);
    while ((result = tb_next(game, &request, TB_FOREVER)) == TB_OK) {
        const int64_t *action = (const int64_t *)tb_action(game, 0);
        if (request.type == TB_RESET) reset(&w, &request);
        if (request.type == TB_STEP) step(&w, action ? *action : 0);
        if (request.type == TB_RESET || request.type == TB_STEP) show(&w, game, &at);
    }
    if (result != TB_CLOSED) fprintf(stderr, "%s\n", tb_error(game));
    tb_free(game);
    return result != TB_CLOSED;
}

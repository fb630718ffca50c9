/* live.c - a game that does not wait: every 2 ms it counts (in lock-step it stands still), and shows the action it was told last. */

#define TROPISM_BRIDGE_IMPLEMENTATION
#include "tropism_bridge.h"

static int take(tb_game *game, const tb_request *request, int64_t state[2]) {
    const int64_t *action = (const int64_t *)tb_action(game, 0);
    if (request->type == TB_RESET) state[0] = 0, state[1] = -1;
    if (action) state[1] = *action;
    return request->type == TB_RESET;
}

int main(int count, char **words) {
    int64_t state[2] = {0, -1};
    tb_options options = {0};
    tb_spec *spec = tb_spec_new("live");
    tb_request request;
    tb_result result;
    tb_game *game;
    int begun = 0;
    tb_agent(spec, "agent");
    tb_box(spec, TB_I8, TB_SHAPE(2), -1, INFINITY);
    tb_discrete(spec, 1000, 0);
    tb_spec_hold(spec);
    options.can = TB_CAN_LATEST | TB_CAN_SEED;
    options.listen = count == 3 && !strcmp(words[1], "--listen") ? words[2] : NULL;
    options.reconnect = options.listen != NULL;
    game = tb_open(spec, &options);
    if (options.listen) printf("%s\n", tb_address(game)), fflush(stdout);
    for (;;) {
        while ((result = tb_next(game, &request, 2)) == TB_OK) {
            begun |= take(game, &request, state);
            if (request.type == TB_RESET || request.type == TB_STEP) {
                memcpy(tb_observation(game, 0), state, sizeof state), tb_observe(game, NULL);
            }
        }
        if (result != TB_TIMEOUT) break;
        if (!begun || !tb_is_latest(game)) continue;
        state[0]++;
        memcpy(tb_observation(game, 0), state, sizeof state);
        tb_observe(game, NULL);
    }
    fprintf(stderr, "%s\n", tb_error(game));
    tb_free(game);
    return result != TB_CLOSED;
}

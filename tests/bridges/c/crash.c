/* crash.c - a game that dies as its action says: 1 by a segmentation fault, 2 by exit(7), 3 hangs. */

#define TROPISM_BRIDGE_IMPLEMENTATION
#include "tropism_bridge.h"

static void obey(int64_t action) {
    volatile int *nowhere = NULL;
    if (action == 1) fprintf(stderr, "about to fall\n"), *nowhere = 1;
    if (action == 2) exit(7);
    while (action == 3) pause();
}

int main(void) {
    tb_spec *spec = tb_spec_new("crash");
    tb_request request;
    tb_game *game;
    tb_agent(spec, "agent");
    tb_box(spec, TB_F4, TB_SHAPE(1), 0, 1);
    tb_discrete(spec, 4, 0);
    game = tb_open(spec, NULL);
    while (tb_next(game, &request, TB_FOREVER) == TB_OK) {
        if (tb_action(game, 0)) obey(*(const int64_t *)tb_action(game, 0));
        tb_observe(game, NULL);
    }
    tb_free(game);
    return 0;
}

/* fuzz.c - feeds streams of bytes to the C client, as an agent would have sent them.

   `fuzz` prints its spec. `fuzz FILE SHM`: FILE holds, again and again, two u32 lengths, a file of shared memory (written
   to SHM before the stream is fed, if it is not empty) and the stream. Prints how many sessions ended
   in which way, and how many requests were taken. Built with sanitizers, it aborts at the first error. */

#define TROPISM_BRIDGE_IMPLEMENTATION
#include "tropism_bridge.h"

static unsigned long ended[16], taken, slowest_ms;

static tb_game *make_game(void) {
    tb_options options = {0};
    tb_spec *s = tb_spec_new("fuzz");
    tb_agent(s, "agent");
    tb_box(s, TB_F4, TB_SHAPE(3), -1, 1);
    tb_dict(s);
    tb_key(s, "go"), tb_discrete(s, 5, -2);
    tb_key(s, "say"), tb_text(s, 0, 4, "abc");
    tb_key(s, "bits"), tb_multibinary(s, TB_SHAPE(3));
    tb_end(s);
    options.can = TB_CAN_CALL | TB_CAN_LATEST, options.token = "", options.spin_us = -1;
    return tb_open(s, &options);
}

static void play(tb_game *game, int sock) {
    tb_request request;
    tb_result result = tb_attach(game, sock, 1);
    while (result == TB_OK && (result = tb_next(game, &request, 1000)) == TB_OK) {
        const int64_t *go = (const int64_t *)tb_action(game, 0);
        taken++;
        if (go && (*go < -2 || *go > 2)) abort(); /* an action that had to be refused */
        if (request.type == TB_CALL) tb_reply(game, request.json);
        if (request.type == TB_RESET) {
            double number;
            char text[8];
            tb_json_number(request.json, "level", &number);
            tb_json_string(request.json, "name", text, sizeof text);
        }
        if (request.type != TB_EVENT && request.type != TB_CALL) tb_observe(game, NULL);
    }
    ended[result]++;
    tb_close(game, "next");
}

static void feed(tb_game *game, const uint8_t *stream, size_t size) {
    int pair[2], room = 1 << 20;
    int64_t began = tb__now();
    unsigned long ms;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) exit(3);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    tb__send_all(pair[1], stream, size);
    shutdown(pair[1], SHUT_WR);
    play(game, pair[0]);
    close(pair[1]);
    ms = (unsigned long)((tb__now() - began) / 1000000);
    if (ms > slowest_ms) slowest_ms = ms;
}

static void write_shm(const char *path, const uint8_t *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) exit(4);
}

int main(int count, char **words) {
    FILE *file = count > 2 ? fopen(words[1], "rb") : NULL;
    uint32_t sizes[2];
    tb_game *game = make_game();
    if (!file && game) fputs(tb_spec_json(game->spec), stdout);
    if (!file || !game) return tb_free(game), 2;
    while (fread(sizes, 4, 2, file) == 2) {
        size_t size = (size_t)sizes[0] + sizes[1];
        uint8_t *bytes = (uint8_t *)malloc(size + 1);
        if (!bytes || fread(bytes, 1, size, file) != size) return 5;
        if (sizes[0]) write_shm(words[2], bytes, sizes[0]);
        feed(game, bytes + sizes[0], sizes[1]);
        free(bytes);
    }
    for (int i = 0; i < 10; i++) printf("%lu ", ended[i]);
    printf("%lu %lu\n", taken, slowest_ms);
    fclose(file);
    tb_free(game);
    return 0;
}

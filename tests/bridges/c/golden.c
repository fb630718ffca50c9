/* golden.c - the games of the golden vectors, made with the builder functions of the C client.

   `golden NAME` prints the spec, and the offsets that the builder functions returned; then it plays:
   it tells what it sees of every request in an EVENT, and mirrors actions as observations. */

#define TROPISM_BRIDGE_IMPLEMENTATION
#include "tropism_bridge.h"

static const float OBS[] = {-1, 0.5f, 0.25f};

static void note(size_t at) { printf(" %lu", (unsigned long)at); }

static void vector(tb_spec *s, int64_t n, int64_t start) {
    note(tb_box(s, TB_F4, TB_SHAPE(3), -1, 1));
    note(tb_discrete(s, n, start));
}

static void pixels(tb_spec *s) {
    tb_agent(s, "eye");
    note(tb_box(s, TB_U1, TB_SHAPE(4, 5, 3), 0, 255));
    note(tb_box(s, TB_F4, TB_SHAPE(3), -1, 1));
    tb_spec_hold(s);
    tb_spec_render(s, 4, 5);
}

static void types(tb_spec *s) {
    static const char *const names[] = {"bool", "int8", "int16", "int32", "int64", "uint8",
                                        "uint16", "uint32", "uint64", "float16", "float32", "float64"};
    tb_dict(s);
    for (int i = 0; i < 12; i++) tb_key(s, names[i]), note(tb_box(s, (tb_type)i, TB_SHAPE(3), 0, 1));
    tb_end(s);
}

static void simple(tb_spec *s) {
    static const int64_t nvec[] = {3, 4, 5, 6}, start[] = {0, -1, 2, 0};
    const float low[] = {-1, -INFINITY, 0.5f}, high[] = {INFINITY, INFINITY, INFINITY};
    tb_dict(s);
    tb_key(s, "z"), note(tb_discrete(s, 5, -2));
    tb_key(s, "a"), note(tb_multidiscrete(s, TB_SHAPE(2, 2), nvec, start));
    tb_key(s, "bits"), note(tb_multibinary(s, TB_SHAPE(2, 3)));
    tb_key(s, "say"), note(tb_text(s, 0, 5, "abc\xc3\xbc\xe2\x82\xac\xf0\x9d\x84\x9e"));
    tb_key(s, "pair"), tb_tuple(s);
    note(tb_discrete(s, 2, 0));
    note(tb_box_of(s, TB_F4, TB_SHAPE(3), low, high));
    tb_end(s);
    tb_key(s, "scalar"), note(tb_box(s, TB_F8, TB_SCALAR, -INFINITY, INFINITY));
    tb_key(s, "none"), note(tb_box(s, TB_F4, TB_SHAPE(0), 0, 1));
    tb_end(s);
}

static void graphs(tb_spec *s) {
    size_t at = (tb_key(s, "graph"), tb_graph(s, 3, 5));
    note(at), note(at + 8);
    note(tb_box(s, TB_F4, TB_SHAPE(2), 0, 9));
    note(tb_discrete(s, 4, 0));
    note(tb_end(s));
    at = (tb_key(s, "points"), tb_graph(s, 3, 5));
    note(at), note(at + 8);
    note(tb_multibinary(s, TB_SHAPE(3)));
    tb_end(s);
}

static void variable(tb_spec *s) {
    tb_dict(s);
    tb_key(s, "rows"), note(tb_seq(s, 4, 1)), tb_box(s, TB_F4, TB_SHAPE(3), 0, INFINITY), tb_end(s);
    tb_key(s, "words"), note(tb_seq(s, 3, 0)), tb_text(s, 0, 3, "xyz"), tb_end(s);
    tb_key(s, "one"), note(tb_oneof(s));
    tb_discrete(s, 3, 0);
    tb_box(s, TB_I2, TB_SHAPE(5), -9, 9);
    tb_end(s);
    graphs(s);
    tb_end(s);
}

static void twice(tb_spec *s, void (*space)(tb_spec *)) {
    tb_agent(s, "agent");
    space(s), space(s);
}

static tb_spec *describe(const char *name) {
    tb_spec *s = tb_spec_new(name);
    char id[] = "p0";
    if (!strcmp(name, "vector")) tb_agent(s, "agent"), vector(s, 5, -2);
    if (!strcmp(name, "pixels")) pixels(s);
    if (!strcmp(name, "types")) twice(s, types), tb_spec_about(s, "{\"made\": \"by hand\"}");
    if (!strcmp(name, "simple")) twice(s, simple);
    if (!strcmp(name, "variable")) twice(s, variable);
    for (; !strcmp(name, "team") && id[1] < '3'; id[1]++) tb_agent(s, id), vector(s, 3, 0);
    printf("\n%s\n", tb_spec_json(s) ? tb_spec_json(s) : "");
    fflush(stdout);
    return s;
}

static void tell(tb_game *game, const tb_request *r) {
    size_t room = 400 + (r->json ? strlen(r->json) : 0);
    char *text = (char *)malloc(room);
    if (!text) exit(1);
    snprintf(text, room, "{\"type\":%d,\"seq\":%lu,\"episode\":%lu,\"seed\":%lld,\"json\":%s}", r->type,
             (unsigned long)r->seq, (unsigned long)r->episode, r->has_seed ? (long long)r->seed : -1LL,
             r->json ? r->json : "null");
    tb_event(game, r->name ? r->name : "", text);
    free(text);
}

static void mirror(tb_game *game, const char *name, size_t size) {
    uint8_t *out = (uint8_t *)tb_observation(game, 0);
    const void *action = tb_action(game, 0);
    if (!strcmp(name, "pixels")) {
        for (int i = 0; i < 60; i++) out[i] = (uint8_t)i;
        tb_outcome(game, 0, 1.5, 0, 0);
    } else if (!strcmp(name, "team")) {
        memcpy(out, OBS, sizeof OBS), memcpy(tb_observation(game, 2), OBS, sizeof OBS);
        tb_outcome(game, 0, 1, 0, 0), tb_outcome(game, 2, 0, 1, 0), tb_alive(game, 1, 0);
        if (tb_action(game, 1)) tb_outcome(game, 0, 99, 0, 0); /* it does not act in the vectors */
    } else if (!strcmp(name, "vector")) memcpy(out, OBS, sizeof OBS);
    else if (action) memcpy(out, action, size);
    tb_observe(game, NULL);
}

static void reply(tb_game *game, const tb_request *request) {
    static const uint8_t pixel[] = {0, 1, 2, 3, 4, 5};
    if (!strcmp(request->name, "render")) tb_reply_array(game, TB_U1, TB_SHAPE(1, 2, 3), pixel);
    else if (!strcmp(request->name, "echo")) tb_reply(game, request->json);
    else if (strcmp(request->name, "forget")) tb_reply_error(game, "no \"such\" call");
}

int main(int count, char **words) {
    tb_options options = {0};
    tb_request request;
    tb_result result;
    tb_spec *spec = count > 1 ? describe(words[1]) : NULL;
    size_t size = spec ? spec->agent[0].size[1] : 0;
    tb_game *game;
    if (!getenv("TROPISM_BRIDGE_ADDR")) return tb_spec_free(spec), 0;
    options.can = TB_CAN_CALL | TB_CAN_RENDER;
    options.checksum = 1;
    game = tb_open(spec, &options);
    while ((result = tb_next(game, &request, TB_FOREVER)) == TB_OK) {
        if (request.type != TB_STEP) tell(game, &request);
        if (request.type == TB_CALL) reply(game, &request);
        if (request.type == TB_RESET || request.type == TB_STEP) mirror(game, words[1], size);
    }
    fprintf(stderr, "%d %s\n", (int)result, tb_error(game));
    tb_free(game);
    return 0;
}

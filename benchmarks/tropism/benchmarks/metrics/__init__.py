"""One file a metric: pure functions of recorded episodes."""

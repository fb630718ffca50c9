"""PatternWorld: predict the next token while the rule that makes the tokens changes without notice."""

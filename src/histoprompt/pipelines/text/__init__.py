"""Words to scores: tiles, texts, marks, thresholds."""

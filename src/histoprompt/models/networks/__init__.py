"""Building blocks of the models in `zoo`: networks and what they need."""

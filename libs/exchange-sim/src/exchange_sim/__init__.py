"""A crypto exchange to develop and test against: replays recorded market data over the real protocols."""

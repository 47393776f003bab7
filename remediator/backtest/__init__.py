"""Backtest: recorded records through the real engine in virtual time. Performs nothing."""

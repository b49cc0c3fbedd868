"""Stored samples to batches: the order (plan), the columns, the reading, and the stream that joins them."""

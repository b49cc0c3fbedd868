"""What belongs together: text with times, words, sound and picture."""

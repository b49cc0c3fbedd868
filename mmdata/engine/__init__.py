"""Running a pipeline: what is to be done, who does it, and what came of it. The truth is always in the store."""

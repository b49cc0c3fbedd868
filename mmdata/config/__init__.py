"""Pipeline files to objects, with all of their faults at once; and the schema that an editor completes them by."""

"""The rows of tables, a format a file."""

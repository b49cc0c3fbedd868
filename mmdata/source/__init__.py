"""Where samples come from, and what belongs together.

A source is a frozen dataclass whose first field is its location: a folder, a file, or the URL of either. `scan` lists
it, `read` gives samples whose parts are blobs that read their bytes when asked.

    files        a folder or bucket; files are paired by stem or by patterns
    table        JSON Lines, CSV or Parquet; a row a sample
    webdataset   tar files; members are paired by key
    guess        which of these fits a location
"""

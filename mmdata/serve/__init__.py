"""A store in a browser: `mmdata serve`. Reads, and never writes; docs/serve.md tells what it shows and to whom.

`catalog` is what is known of all samples, `finding` which of them are asked for, `about` one sample, `pages` what is
drawn of these; `media` and `pictures` give bytes, `doors` says who may ask at all, and `app` puts them together.
"""

"""What is known of a store, as plain values: read and counted here, drawn elsewhere.

Facts are computed on columns, without a line of Python a row, so that they are there within seconds for 100,000
samples. A damaged file costs what lay in it, and is told as a `Fault`.
"""

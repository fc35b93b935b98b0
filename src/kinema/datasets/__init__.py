"""Data sets of labelled clips: official lists read as they are, decoding, loading."""

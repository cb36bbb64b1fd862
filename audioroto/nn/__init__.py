"""Layers: tensors in, tensors out, no configuration.

The legend of every shape in this project:
`B batch · S samples · T frames · U tokens · F mel bins · D model width · H heads · K head width · V vocabulary`.
`valid` (B, T) is True at a real frame; `allowed` (…, T, T) is True where a query may attend.
"""
